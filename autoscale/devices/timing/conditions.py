"""What a time is taken under; light, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autoscale.devices.runtimes.registry import RUNTIMES, able, runtimes_told
from autoscale.devices.runtimes.runtime import MemoryFormat, Precision
from autoscale.errors import InvalidSetting
from autoscale.settings.command import Settings
from autoscale.settings.option import in_words, option

Clock = Literal["wall", "cpu"]
#: What each clock is.
CLOCKS: Mapping[Clock, str] = {
    "wall": "what a user waits",
    "cpu": "processor time of one thread, which does not count waiting for a core that others hold",
}

#: Blocks that are always timed if the number of passes is not given.
LEAST_BLOCKS = 5


@dataclass(frozen=True, kw_only=True)
class Conditions(Settings):
    """Everything about a measurement except the network and its resolution.

    Raises:
        InvalidSetting: if a value lies outside its range, or two of them do not go together.
    """

    batch: int = option(1, "Images of one pass.", least=1)
    threads: int = option(1, "Threads of the runtime.", least=1)
    runtime: str = option("eager", "{choices}.", choices=runtimes_told)
    memory_format: MemoryFormat | None = option(
        None,
        "How maps lie in memory: channels-last, or channels-first as torch has them by "
        "default. EfficientNet-B0 on a CPU takes channels-last 0.7 to 0.9 of the time that it "
        "takes channels-first. \\[default: the runtime's own]",
    )
    dtype: Precision = option(
        "float32",
        "What networks run in: {choices}; int8 is of designs, calibrated on noise, since only the "
        "time counts here.",
    )
    device: str = option("cpu", "cpu, or a CUDA device such as cuda:0.")
    clock: Clock = option(
        "wall",
        "{choices}.",
        choices=lambda: CLOCKS,
    )
    fold: bool = option(True, "Batch norms into convolutions before.")
    repeats: int | None = option(
        None,
        "Timed passes of each. \\[default: until precise enough or out of time]",
        least=LEAST_BLOCKS,
    )
    precision: float = option(
        0.01, "Standard error / median at which it is precise enough.", above=0
    )
    seconds: float = option(
        10.0, "Most time for each network, warm-up and the first five blocks apart.", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_runtime()
        on_cpu = self.device == "cpu"
        if self.clock == "cpu" and (self.threads > 1 or not on_cpu):
            raise InvalidSetting(
                f"the cpu clock measures one thread on the cpu, got {self.threads} threads on "
                f"{self.device}; choose clock wall"
            )

    def _require_runtime(self) -> None:
        """Refuse what the runtime cannot do."""
        runtime, gpu = RUNTIMES[self.runtime], self.device != "cpu"
        if self.dtype not in runtime.dtypes or (gpu and not runtime.gpu):
            others = able(self.dtype, gpu=gpu)
            raise InvalidSetting(
                f"{self.runtime} is measured in {in_words(runtime.dtypes)} "
                f"{'on any device' if runtime.gpu else 'on the cpu'}, got {self.dtype} on "
                f"{self.device}; choose "
                + (f"runtime {in_words(others)} for that" if others else "device cpu for that")
            )
        if self.layout not in runtime.formats:
            raise InvalidSetting(
                f"{self.runtime} takes images {in_words(runtime.formats)}; leave the memory format "
                "out or choose runtime eager or compiled"
            )
        if not self.fold and (runtime.folds or self.dtype == "int8"):
            raise InvalidSetting(
                f"{self.runtime} in {self.dtype} folds batch norms always; leave --no-fold out or "
                "choose runtime eager, compiled or onnxruntime in float32"
            )
        if self.batch > 1 and not runtime.batches:
            raise InvalidSetting(
                f"{self.runtime} runs one image at a time, got a batch of {self.batch}; give "
                "batch 1 or choose another runtime"
            )

    @property
    def layout(self) -> MemoryFormat:
        """The memory format that is measured."""
        return self.memory_format or RUNTIMES[self.runtime].formats[0]
