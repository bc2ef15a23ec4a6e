"""A board as a value: what it holds, what its firmware needs of that, and the limits left."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from autoscale.design.amounts import parse_bytes
from autoscale.design.architecture import Architecture
from autoscale.design.document import NO_UNKNOWN_KEYS, parse
from autoscale.design.measures.flash import Flash
from autoscale.design.measures.latency import Latency
from autoscale.design.measures.limits import Limit, all_of
from autoscale.design.measures.ram import Ram
from autoscale.design.style import Padding
from autoscale.design.tflite.graph import Precision
from autoscale.devices.runtimes.registry import RUNTIMES
from autoscale.errors import InvalidSetting

#: The runtime of microcontrollers, which reads weights from flash. It is not timed here.
MICRO = "tflite-micro"

#: The name of the machine that this runs on.
HERE = "here"


def _bytes(value: Any) -> Any:
    return parse_bytes(value) if isinstance(value, str) else value


Bytes = Annotated[int, BeforeValidator(_bytes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What the firmware needs besides the network: code, stacks, buffers of a camera."""

    flash: Bytes = 0
    ram: Bytes = 0

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        for name in ("flash", "ram"):
            if getattr(self, name) < 0:
                raise InvalidSetting(
                    f"reserve.{name} must be at least 0, got {getattr(self, name)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a network costs beside what a board leaves it."""

    limit: Limit
    cost: float

    @property
    def fits(self) -> bool:
        """Whether it is not too much."""
        return self.cost <= self.limit.most


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What a device offers a network.

    A runtime for microcontrollers ("tflite-micro") reads weights from flash; any other loads the
    file, so that it needs RAM too.

    Raises:
        InvalidSetting: for sizes that leave nothing, for a runtime that is none, or for
            milliseconds of a board that is not the machine at work, or in a runtime that is not
            timed.
    """

    name: str
    description: str = ""
    source: str = ""  # of its figures
    runtime: str = MICRO
    dtype: Precision = "int8"
    flash: Bytes | None = None  # bytes; None is no limit
    ram: Bytes | None = None
    reserve: Reserve | None = None  # None is not known
    milliseconds: float | None = None  # of one image, at most
    here: bool = False  # whether it is the machine that autoscale runs on

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        reserve = self.reserve or Reserve()
        for what, size, kept in (
            ("flash", self.flash, reserve.flash),
            ("ram", self.ram, reserve.ram),
        ):
            if size is not None and size <= 0:
                raise InvalidSetting(f"{what} must be above 0, got {size}")
            if size is not None and size <= kept:
                raise InvalidSetting(
                    f"{what} of {size:,} bytes leaves nothing beside the reserve of {kept:,}; "
                    "lower the reserve"
                )
        if self.runtime != MICRO and self.runtime not in RUNTIMES:
            raise InvalidSetting(
                f"no runtime {self.runtime!r}; choose from {', '.join((MICRO, *RUNTIMES))}"
            )
        if self.milliseconds is not None:
            self._require_timed(self.milliseconds)

    def _require_timed(self, milliseconds: float) -> None:
        if not milliseconds > 0:
            raise InvalidSetting(f"milliseconds must be above 0, got {milliseconds:g}")
        if not self.here:
            raise InvalidSetting(
                f"nothing was timed on {self.name}, so no limit of {milliseconds:g} ms can be "
                "kept; leave milliseconds out and limit macs, or say here: true where autoscale "
                "runs on the board itself"
            )
        if self.runtime == MICRO:
            raise InvalidSetting(
                f"{MICRO} is not timed here, so no limit of {milliseconds:g} ms can be kept; say "
                f"runtime: with one of {', '.join(RUNTIMES)}"
            )

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "board") -> "Board":
        """Read a board from YAML text; `source` names it in errors.

        Raises:
            InvalidSetting: naming the line and the key at fault.
        """
        return parse(text, cls, source=source, error=InvalidSetting, kind="board")

    @property
    def left(self) -> tuple[int | None, int | None]:
        """Bytes of flash and of RAM that the firmware leaves; None where there is no limit."""
        kept = self.reserve or Reserve()
        flash = None if self.flash is None else self.flash - kept.flash
        return flash, None if self.ram is None else self.ram - kept.ram

    @property
    def timed_in(self) -> str | None:
        """The runtime in which its latencies can be measured here; None of another machine's."""
        return self.runtime if self.here and self.runtime != MICRO else None

    @property
    def judged_in(self) -> Precision:
        """The numbers of the networks that its limits are about; float32 if it has none."""
        return self.dtype if self.limits() else "float32"

    def limits(self, padding: Padding = "symmetric") -> tuple[Limit, ...]:
        """What a network may cost at most.

        Args:
            padding: of the networks' convolutions with a stride.
        """
        flash, ram = self.left
        found = []
        if flash is not None:
            found.append(Limit(Flash(self.dtype, padding), flash))
        if ram is not None:
            loaded = self.runtime != MICRO
            found.append(Limit(Ram(self.dtype, padding, loaded), ram))
        if self.milliseconds is not None:
            found.append(Limit(Latency(), self.milliseconds))
        return tuple(found)

    def fit(self, architecture: Architecture, padding: Padding = "symmetric") -> tuple[Fit, ...]:
        """What a design costs beside each limit that follows from it; milliseconds do not.

        Raises:
            InvalidSetting: for a layer that the runtime has no operation for.
        """
        return tuple(
            Fit(limit=limit, cost=limit.measure.of(architecture))
            for limit in self.limits(padding)
            if limit.measure.counted
        )

    @property
    def said(self) -> str:
        """What it leaves a network, in a sentence."""
        parts = [limit.exactly for limit in self.limits()]
        kept = "nothing is kept for the firmware; a board file of your own says how much"
        if self.reserve is not None:
            flash, ram = self.reserve.flash, self.reserve.ram
            kept = f"{flash:,} and {ram:,} bytes are kept for the firmware"
        return f"{self.name} leaves a network {all_of(parts) if parts else 'all it wants'}; {kept}"
