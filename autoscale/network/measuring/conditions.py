"""What a time is taken under; light, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autoscale.errors import InvalidSetting
from autoscale.settings.command import Settings
from autoscale.settings.option import option

Runtime = Literal["eager", "compiled", "onnxruntime"]
Precision = Literal["float32", "bfloat16", "float16"]
Clock = Literal["wall", "cpu"]
#: What each runtime and each clock is.
RUNTIMES: Mapping[Runtime, str] = {
    "eager": "torch without a compiler",
    "compiled": "torch.compile, which takes minutes and needs a C++ compiler",
    "onnxruntime": "exported first (extra export)",
}
CLOCKS: Mapping[Clock, str] = {
    "wall": "what a user waits",
    "cpu": "processor time of one thread, which does not count waiting for a core that others hold",
}
#: How maps lie in memory: pixel by pixel with all channels, or channel by channel, torch's default.
MemoryFormat = Literal["channels-last", "channels-first"]

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
    runtime: Runtime = option(
        "eager",
        "{choices}.",
        choices=lambda: RUNTIMES,
    )
    memory_format: MemoryFormat | None = option(
        None,
        "How maps lie in memory: channels-last, or channels-first as torch has them by "
        "default. EfficientNet-B0 on a CPU takes channels-last 0.7 to 0.9 of the time that it "
        "takes channels-first. \\[default: channels-last; "
        "channels-first with onnxruntime]",
    )
    dtype: Precision = option("float32", "{choices}.")
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
        on_cpu = self.device == "cpu"
        if self.runtime == "onnxruntime" and (self.dtype != "float32" or not on_cpu):
            raise InvalidSetting(
                f"onnxruntime is measured in float32 on the cpu, got {self.dtype} on "
                f"{self.device}; choose runtime eager or compiled for that"
            )
        if self.runtime == "onnxruntime" and self.memory_format == "channels-last":
            raise InvalidSetting(
                "onnxruntime takes images channels-first; leave the memory format out or choose "
                "runtime eager or compiled"
            )
        if self.clock == "cpu" and (self.threads > 1 or not on_cpu):
            raise InvalidSetting(
                f"the cpu clock measures one thread on the cpu, got {self.threads} threads on "
                f"{self.device}; choose clock wall"
            )

    @property
    def layout(self) -> MemoryFormat:
        """The memory format that is measured."""
        if self.memory_format is not None:
            return self.memory_format
        return "channels-first" if self.runtime == "onnxruntime" else "channels-last"
