"""Every runtime by its name."""

from __future__ import annotations

from collections.abc import Mapping

from autoscale.devices.runtimes.litert import LiteRt
from autoscale.devices.runtimes.ncnn import Ncnn
from autoscale.devices.runtimes.onnxruntime import OnnxRuntime
from autoscale.devices.runtimes.openvino import OpenVino
from autoscale.devices.runtimes.pytorch import Compiled, Eager
from autoscale.devices.runtimes.runtime import Precision, Runtime

RUNTIMES: Mapping[str, Runtime] = {
    one.name: one for one in (Eager(), Compiled(), OnnxRuntime(), OpenVino(), LiteRt(), Ncnn())
}


def runtimes_told() -> dict[str, str]:
    """What each is, by name."""
    return {name: one.told for name, one in RUNTIMES.items()}


def able(dtype: Precision, *, gpu: bool = False) -> list[str]:
    """Those that run networks in such numbers, on CUDA devices if need be."""
    return [name for name, one in RUNTIMES.items() if dtype in one.dtypes and (one.gpu or not gpu)]
