"""Which implementation computes the passes of a training."""

from functools import cache, partial
from pathlib import Path

import torch
from torch import nn

from autoscale.errors import AutoscaleError, InvalidSetting, StorageProblem
from autoscale.jobs.names import BFLOAT16_KERNELS, KERNELS, PRECISIONS
from autoscale.listener import Listener
from autoscale.network.build import Network
from autoscale.network.kernels.accelerate import Accelerated
from autoscale.network.kernels.compiled import NativeKernels
from autoscale.network.kernels.kernels import Kernels, TorchKernels
from autoscale.network.kernels.library import KernelsUnavailable, compile_kernels, library_name
from autoscale.network.kernels.precision import multiplies_bfloat16
from autoscale.runs.cache import cached
from autoscale.training import crops
from autoscale.training.crops import Cut


def choose_kernels(
    choice: str, *, precision: str = "float32", device: str, listener: Listener
) -> str:
    """One of `KERNELS`; "auto" takes what is fastest here, and tells when that is not native.

    Args:
        precision: one of `PRECISIONS`; other devices than a CPU have their own.

    Raises:
        InvalidSetting: if there is no such choice, or these kernels lack the precision.
        AutoscaleError: if native ones are asked for, and cannot be had.
    """
    if precision not in PRECISIONS:
        raise InvalidSetting(f"no precision {precision!r}; choose from {', '.join(PRECISIONS)}")
    if precision == "bfloat16" and device.startswith("cpu"):
        if choice not in ("auto", "native"):
            raise InvalidSetting(
                f"--precision bfloat16 needs native kernels, asked for --kernels {choice}; leave "
                "one of the two out"
            )
        load_kernels(BFLOAT16_KERNELS)
        return BFLOAT16_KERNELS
    found = _chosen(choice, device=device, listener=listener)
    if precision == "auto" and found == "native" and multiplies_bfloat16():
        load_kernels(BFLOAT16_KERNELS)
        return BFLOAT16_KERNELS
    return found


def _chosen(choice: str, *, device: str, listener: Listener) -> str:
    if choice not in ("auto", *KERNELS):
        raise InvalidSetting(f"no kernels {choice!r}; choose from auto, {', '.join(KERNELS)}")
    if choice != "auto":
        load_kernels(choice)
        return choice
    if not device.startswith("cpu"):
        return "none"
    try:
        load_kernels("native")
    except (KernelsUnavailable, StorageProblem) as problem:
        listener.notice(f"training without native kernels, about half as fast: {problem}")
        return "torch"
    return "native"


@cache
def load_kernels(name: str) -> Kernels | None:
    """The implementation of that name; native ones are compiled once and kept in the cache.

    Raises:
        KernelsUnavailable: if they cannot be compiled here.
        StorageProblem: if the cache cannot be written.
    """
    if name == "none":
        return None
    if name == "torch":
        return TorchKernels()
    maps = (torch.float32, *([torch.bfloat16] if name == BFLOAT16_KERNELS else []))
    try:
        return NativeKernels({one: _library(one) for one in maps})
    except OSError as problem:
        raise KernelsUnavailable(f"the compiled library does not load: {problem}") from None


def _library(maps: torch.dtype) -> Path:
    return cached(library_name(maps), partial(compile_kernels, maps=maps))


def cutter(kernels: str) -> Cut:
    """The fastest way to cut augmented images out with these kernels; all give the same bytes."""
    loaded = load_kernels(kernels)
    return loaded.cut if isinstance(loaded, NativeKernels) else crops.cut


def accelerated(network: nn.Module, kernels: str) -> nn.Module:
    """What is trained in place of `network`: the same weights, faster passes.

    A network that was not built from a design, a user's own, is trained as it is.

    Raises:
        KernelsUnavailable: if these kernels, which a run has recorded, cannot be had here.
    """
    try:
        loaded = load_kernels(kernels)
    except AutoscaleError as problem:
        raise KernelsUnavailable(
            f"this run trains with {kernels} kernels: {problem}; or choose another --run"
        ) from None
    if loaded is None or not isinstance(network, Network):
        return network
    return Accelerated(network, loaded)
