"""Settings of what computes the trainings: device, kernels, worker processes, a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoscale.jobs.names import ENGINES, KERNEL_CHOICES, PRECISIONS
from autoscale.settings.command import Settings
from autoscale.settings.option import option


@dataclass(frozen=True, kw_only=True)
class DeviceSettings(Settings):
    """Where the arithmetic is done. It changes last digits, so a change on resuming is told."""

    device: str = option("cpu", "cpu, or a CUDA device such as cuda:0.", binds=False)
    threads: int = option(
        1,
        "Threads of one training. More than one pays on idle cores only.",
        least=1,
        binds=False,
    )


@dataclass(frozen=True, kw_only=True)
class KernelSettings(Settings):
    """What computes trainings. What it came to binds a resumed run, not the wish."""

    kernels: str = option(
        "auto",
        "What computes trainings. {choices}. The later steps keep to it.",
        choices=lambda: KERNEL_CHOICES,
        binds="kernels",
    )
    precision: str = option(
        "float32",
        "Of maps and products while training on a CPU; weights, sums and evaluations are float32. "
        "{choices}. The later steps keep to it.",
        choices=lambda: PRECISIONS,
        binds="kernels",
    )


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(Settings):
    """How many train at once, where, and what a mishap costs.

    Results do not depend on it, except that with several at once a search knows less when it
    proposes.

    Raises:
        InvalidSetting: for values that nothing can train with.
    """

    needs: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("address", "cpus_per_trial", "gpus_per_trial"), "engine"
    )

    workers: int = option(
        1,
        "Trainings at once, each in a process of its own if more than one.",
        least=1,
        binds=False,
        panel="Workers",
    )
    trial_timeout: float | None = option(
        None,
        "Seconds after which a training is cut and counts as failed; it then runs in a worker "
        "process.",
        above=0,
        binds=False,
        panel="Workers",
    )
    retries: int = option(
        1,
        "How often a training is repeated whose worker died.",
        least=0,
        binds=False,
        panel="Workers",
    )
    engine: str = option(
        "local",
        "{choices}.",
        choices=lambda: ENGINES,
        binds=False,
        panel="Workers",
    )
    address: str | None = option(
        None,
        "Of a running Ray cluster, host:port or auto. \\[default: one on this machine]",
        binds=False,
        panel="Workers",
    )
    cpus_per_trial: float = option(
        1.0, "CPUs that Ray sets aside for a training.", above=0, binds=False, panel="Workers"
    )
    gpus_per_trial: float = option(
        0.0,
        "GPUs that Ray sets aside for a training; 0.5 lets two share one.",
        least=0,
        binds=False,
        panel="Workers",
    )

    @property
    def ray_share(self) -> tuple[float, float]:
        """CPUs and GPUs that Ray sets aside for one training; fractions share a device."""
        return self.cpus_per_trial, self.gpus_per_trial

    @property
    def inline(self) -> bool:
        """Whether trainings are done in this process."""
        return self.engine == "local" and self.workers == 1 and self.trial_timeout is None
