"""torch itself, operation by operation or compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale.devices.runtimes.runtime import Pass, Runtime, Subject
from autoscale.errors import InvalidSetting

if TYPE_CHECKING:
    import torch
    from torch import nn

    from autoscale.devices.timing.conditions import Conditions


class Eager(Runtime):
    """Operation by operation."""

    name = "eager"
    told = "torch without a compiler"
    packages = ("torch",)
    dtypes = ("float32", "bfloat16", "float16")
    formats = ("channels-last", "channels-first")
    gpu = True

    def ready(self, subject: Subject, asked: Conditions) -> Pass:
        """On the device, in the number type and the memory format of the asked."""
        import torch

        device, dtype = _device(asked.device), getattr(torch, asked.dtype)
        last = asked.layout == "channels-last"
        layout = torch.channels_last if last else torch.contiguous_format
        subject.network.to(device, dtype, memory_format=layout)  # type: ignore[call-overload]
        images = subject.images.to(device=device, dtype=dtype, memory_format=layout)
        forward = self.forward(subject.network)

        @torch.inference_mode()
        def run() -> Any:
            logits = forward(images)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return logits

        return run

    def forward(self, network: nn.Module) -> Any:
        """What is called with the images."""
        return network


class Compiled(Eager):
    """By torch's compiler."""

    name = "compiled"
    told = "torch.compile, which takes minutes and needs a C++ compiler"

    def forward(self, network: nn.Module) -> Any:
        """For images of one shape."""
        import torch

        return torch.compile(network, dynamic=False)


def _device(name: str) -> torch.device:
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as problem:
        raise InvalidSetting(f"cannot use the device {name!r} here; try 'cpu'") from problem
    if device.type not in ("cpu", "cuda"):
        raise InvalidSetting(f"latency is measured on cpu and CUDA devices, got {name!r}")
    return device
