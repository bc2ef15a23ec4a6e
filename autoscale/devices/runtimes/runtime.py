"""A runtime as a value: what it can run, and a network made ready in it.

The values are light: torch and the runtimes themselves are imported when a network is made ready,
so that the command line may list them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from autoscale.distribution import require

if TYPE_CHECKING:
    from torch import Tensor, nn

    from autoscale.design.architecture import Architecture
    from autoscale.devices.timing.conditions import Conditions

#: What the numbers of a network are.
Precision = Literal["float32", "bfloat16", "float16", "int8"]
#: How maps lie in memory: pixel by pixel with all channels, or channel by channel, torch's default.
MemoryFormat = Literal["channels-last", "channels-first"]
#: One pass over the images that were given; the logits (batch, classes), as the runtime has them.
Pass = Callable[[], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A network that is to be made ready, and what it will see."""

    network: nn.Module  # float32, on the CPU, in evaluation mode; the runtime may change it
    design: Architecture | None  # that it was built from; None of a module of the user's
    folded: bool  # whether its batch norms went into its convolutions
    images: Tensor  # (batch, C, H, W), normalised float32


class Runtime(ABC):
    """What carries out a network. A new one is a file in this folder and its line in `registry`."""

    name: ClassVar[str]
    told: ClassVar[str]  # what it is, for people
    extras: ClassVar[tuple[str, ...]] = ()  # that it needs
    packages: ClassVar[tuple[str, ...]]  # whose versions decide its times
    dtypes: ClassVar[tuple[Precision, ...]] = ("float32",)
    formats: ClassVar[tuple[MemoryFormat, ...]] = ("channels-first",)  # the usual one first
    gpu: ClassVar[bool] = False  # whether it runs on CUDA devices too
    folds: ClassVar[bool] = False  # whether it always folds batch norms
    batches: ClassVar[bool] = True  # whether a pass may be of several images

    @abstractmethod
    def ready(self, subject: Subject, asked: Conditions) -> Pass:
        """The network made ready; called as often as it is to be timed.

        Raises:
            InvalidSetting: if its packages are missing, or it cannot take the network.
        """

    def require(self) -> None:
        """Refuse at once what could not be timed.

        Raises:
            InvalidSetting: naming the packages that are missing, with the way to install them.
        """
        for extra in self.extras:
            require(extra, f"the runtime {self.name}")

    @property
    def version(self) -> str:
        """Names and versions of what runs: `ncnn 1.0.20261020, pnnx 20261020`."""
        return ", ".join(f"{name} {_version(name)}" for name in self.packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # imported from sources
        return "of unknown version"
