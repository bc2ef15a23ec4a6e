"""A network whose passes are made by layers with their own backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from autoscale.network.blocks import DropPath, Residual, SamePad, SqueezeExcite
from autoscale.network.build import Network
from autoscale.network.kernels.compiled import NativeKernels
from autoscale.network.kernels.inverted import invert
from autoscale.network.kernels.kernels import ACTIVATIONS, Kernels
from autoscale.network.kernels.layers import (
    Chain,
    ConvNorm,
    DepthwiseNorm,
    Drop,
    Excite,
    FixedNorm,
    Frozen,
    Gradients,
    Layer,
    Opaque,
    PointwiseNorm,
    Skip,
    Tape,
)
from autoscale.network.kernels.pooled import with_pooled
from autoscale.network.kernels.widening import FACTOR, Widening

DEPTHWISE_KERNELS = (1, 3, 5, 7, 9)


class Accelerated(nn.Module):
    """`network`, faster on a CPU: the same parameters, buffers, modes and results.

    It holds the network it was given: train this one, use that one. Wherever its own passes do not
    suit (another device, other numbers than float32, gradients in eval mode) the network's do.
    Weights that take no gradient when this is made are not trained; leading ones and norms are then
    passed as in eval mode.

    Shape: that of `network`.
    """

    def __init__(self, network: Network, kernels: Kernels) -> None:
        super().__init__()
        self.network = network
        self.kernels = kernels
        self._plan = plan(network, kernels)
        self._trained = tuple(p for p in network.parameters() if p.requires_grad)

    @property
    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        """Those of the network."""
        return self.network.parts

    def forward(self, x: Tensor) -> Tensor:
        suits = x.device.type == "cpu" and x.dtype == torch.float32
        if isinstance(self._plan, Frozen) and x.requires_grad:  # which its plan would not give
            suits = False
        if suits and self.training and torch.is_grad_enabled():
            maps = self.kernels.maps
            result: Tensor = _Pass.apply(_nhwc(x), self._plan, maps, *self._trained)
        elif suits and not self.training and not torch.is_grad_enabled():
            result = self._plan.forward(_nhwc(x), None)
        else:
            result = self.network(x)
        return result

    @property
    def approximately(self) -> Callable[[Tensor], Tensor] | None:
        """`forward` in eval mode with maps in bfloat16; None where that takes no less time."""
        kernels = self.kernels
        if not isinstance(kernels, NativeKernels) or kernels.maps == torch.float32:
            return None
        return self._approximate if kernels.way else None

    def _approximate(self, x: Tensor) -> Tensor:
        return self._plan.forward(_nhwc(x).to(self.kernels.maps), None).float()


def plan(module: nn.Module, kernels: Kernels) -> Layer:
    """The layers that compute what `module` computes."""
    parts = _parts(module)
    leading = next((n for n, part in enumerate(parts) if _learns(part)), 0)
    while leading and not _weighs(parts[leading - 1]):
        leading -= 1  # what has no weights works with what comes after it
    if leading:
        return Frozen(_planned(parts[:leading], kernels), _planned(parts[leading:], kernels))
    return _planned(parts, kernels)


def _planned(parts: list[list[nn.Module]], kernels: Kernels) -> Layer:
    layers: list[Layer] = []
    opaque: list[nn.Module] = []

    def flush() -> None:
        if opaque:
            layers.append(Opaque(nn.Sequential(*opaque)))
            opaque.clear()

    for part in parts:
        layer = _layer(part, kernels)
        if layer is None:
            opaque += part
        else:
            flush()
            layers += layer.layers if isinstance(layer, Chain) else [layer]
    flush()
    if isinstance(kernels, NativeKernels):
        layers = with_pooled(invert(layers, kernels), kernels)
    return layers[0] if len(layers) == 1 else Chain(layers)


def _weighs(part: list[nn.Module]) -> bool:
    """Whether there are weights in it."""
    return any(True for module in part for _ in module.parameters())


def _learns(part: list[nn.Module]) -> bool:
    return any(weight.requires_grad for module in part for weight in module.parameters())


def _parts(module: nn.Module) -> list[list[nn.Module]]:
    """The modules that `module` applies one after another; convolution, norm, activation as one."""
    if isinstance(module, Network):
        return [part for child in module.children() for part in _parts(child)]
    if type(module).forward is not nn.Sequential.forward:
        return [[module]]
    parts: list[list[nn.Module]] = []
    children = list(module.children())
    while children:
        taken = 4
        while taken > 1 and not _fits(children[:taken]):
            taken -= 1
        parts += [children[:taken]] if taken > 1 else _parts(children[0])
        del children[:taken]
    return parts


def _fits(modules: list[nn.Module]) -> bool:
    """Whether these are a convolution, its norm and perhaps an activation, as `ConvNorm` does, or
    what pads the map and these."""
    if isinstance(modules[0], SamePad):
        modules = modules[1:]
    if len(modules) < 2:
        return False
    conv, norm, *act = modules
    return (
        type(conv) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and conv.bias is None
        and conv.padding_mode == "zeros"
        and conv.dilation == (1, 1)
        and len({*conv.stride}) == len({*conv.padding}) == len({*conv.kernel_size}) == 1
        and not isinstance(conv.padding, str)
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and len(act) < 2
        and all(type(module) in ACTIVATIONS for module in act)
    )


def _layer(part: list[nn.Module], kernels: Kernels) -> Layer | None:
    """None where only torch's autograd can do it."""
    if len(part) > 1:
        pad = part[0] if isinstance(part[0], SamePad) else None
        conv, norm, *act = part if pad is None else part[1:]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        kernel, native = conv.kernel_size[0], isinstance(kernels, NativeKernels)
        activation = ACTIVATIONS.index(type(act[0])) if act else 0
        alone = conv.groups == conv.in_channels == conv.out_channels
        alone = alone and kernel in DEPTHWISE_KERNELS
        found: ConvNorm
        if kernel == 1 and conv.stride == (1, 1) and conv.groups == 1:
            widens = conv.out_channels >= FACTOR * conv.in_channels
            kind = Widening if widens and not native else PointwiseNorm
            found = kind(conv, norm, activation, kernels)
        elif alone and pad is None and conv.padding == (kernel // 2, kernel // 2):
            found = DepthwiseNorm(conv, norm, activation, kernels)
        elif alone and native and pad is not None and pad.precedes(conv):
            found, pad = DepthwiseNorm(conv, norm, activation, kernels, same=True), None
        else:
            found = ConvNorm(conv, norm, activation, kernels)
        layer: Layer = found if _learns([norm]) else FixedNorm(found)
        return layer if pad is None else Chain([Opaque(pad), layer])
    (module,) = part
    if (
        isinstance(module, SqueezeExcite)
        and type(module.act) in ACTIVATIONS
        and module.gate == "sigmoid"
    ):
        return Excite(module, ACTIVATIONS.index(type(module.act)), kernels)
    if (
        isinstance(module, Residual)
        and isinstance(module.shortcut, nn.Identity)
        and isinstance(module.act, nn.Identity)
    ):
        branch = _planned(_parts(module.branch), kernels)
        drop = module.drop_path if _learns([module]) else None
        dropped = [Drop(drop)] if isinstance(drop, DropPath) else []
        return Skip(Chain([branch, *dropped]))
    return None


def _nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


class _Pass(torch.autograd.Function):
    """One pass of a plan, as one operation of torch's autograd."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layers: Layer, maps: torch.dtype, *parameters: Tensor
    ) -> Tensor:
        tape: Tape = []
        y = layers.forward(x.to(maps), tape)
        ctx.layers, ctx.tape, ctx.parameters = layers, tape, parameters
        ctx.maps = maps if y.ndim == 4 else y.dtype
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found: Gradients = {}
        wants_input = ctx.needs_input_grad[0]
        of_y = gradient.contiguous().to(ctx.maps)
        of_x = ctx.layers.backward(of_y, ctx.tape, found, wants_input=wants_input)
        of_x = None if of_x is None else of_x.to(gradient.dtype)
        return of_x, None, None, *(found.get(parameter) for parameter in ctx.parameters)
