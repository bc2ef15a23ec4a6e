"""The layers of a design as calls that make modules.

Carried out, a call gives the module; written out, it is the source that gives it elsewhere. So what
is exported cannot drift from what was trained.
"""

from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import Any, NamedTuple

from torch import nn

from autoscale.design.architecture import Architecture
from autoscale.design.blocks.layers import (
    DEPTHWISE,
    Conv,
    GlobalPool,
    Layer,
    LayerNorm,
    LayerScale,
    Layout,
    Linear,
    Pool,
    SqueezeExcite,
    Step,
    flow,
)
from autoscale.design.walk import head_layers, last_place, stem_layers
from autoscale.network import blocks


class Call(NamedTuple):
    """A function or class that makes a module, and what it is given; calls among that come first.

    Its source wants the names of `network.blocks` and torch's `nn`.
    """

    maker: Callable[..., nn.Module]
    values: tuple[Any, ...] = ()
    named: Mapping[str, Any] = {}

    def make(self) -> nn.Module:
        """A new module."""
        values = [_made(value) for value in self.values]
        return self.maker(*values, **{name: _made(value) for name, value in self.named.items()})

    def source(self, room: int) -> str:
        """The call as source whose lines have at most `room` characters, as far as that goes."""
        ours = self.maker.__module__ == blocks.__name__
        name = self.maker.__name__ if ours else f"nn.{self.maker.__name__}"
        given = [("", value) for value in self.values]
        given += [(f"{keyword}=", value) for keyword, value in self.named.items()]
        line = f"{name}({', '.join(keyword + _text(value) for keyword, value in given)})"
        if len(line) <= room:
            return line
        parts = [keyword + _text(value, room - 4 - len(keyword)) for keyword, value in given]
        inside = indent("".join(f"{part},\n" for part in parts), "    ")
        return f"{name}(\n{inside})"


def _made(value: Any) -> Any:
    return value.make() if isinstance(value, Call) else value


def _text(value: Any, room: int = 100_000) -> str:
    return value.source(room) if isinstance(value, Call) else repr(value)


_NOTHING = Call(nn.Identity)


def stem_calls(architecture: Architecture) -> tuple[Call, dict[str, Call]]:
    """The convolution of a stem, and what is added to it by name."""
    stem = architecture.stem
    first, *others = flow(
        stem_layers(stem, stem.width), architecture.channels, architecture.resolution
    )
    return _call(first), {step.layer.name: _call(step) for step in others}


def block_call(layout: Layout, width_in: int, *, drop_path: float = 0.0) -> Call:
    """A block that is given `width_in` channels.

    Its entry, if it has one, is called `downsample`, and what comes after it `block`.

    Args:
        drop_path: probability of dropping its branch while training, if it has a shortcut.
    """
    if layout.entry:
        *_, last = flow(layout.entry, width_in, 1)
        after = block_call(layout._replace(entry=()), last.width_out, drop_path=drop_path)
        parts = {"downsample": _row(layout.entry, width_in), "block": after}
        return Call(blocks.row, (), parts)
    added, layer, _ = layout.shortcut
    shortcut = _NOTHING if layer is None else _call(next(flow([layer], width_in, 1)))
    if not layout.branch:
        return shortcut
    branch = _row(layout.branch, width_in)
    if not added:
        return branch
    named: dict[str, Any] = {"drop_path": drop_path} if drop_path > 0 else {}
    named |= {"act": layout.act} if layout.act else {}
    return Call(blocks.Residual, (branch, shortcut), named)


def head_calls(architecture: Architecture) -> dict[str, Call]:
    """The parts of a head by their names, in order."""
    place = last_place(architecture)
    layers = head_layers(architecture.head, place.width, architecture.num_classes)
    calls: dict[str, Call] = {}
    for step in flow(layers, place.width_in, place.size):
        if isinstance(step.layer, Linear):
            calls["flatten"] = Call(nn.Flatten)
        calls[step.layer.name] = _call(step)
    return calls


def _row(layers: Sequence[Layer], width_in: int) -> Call:
    """Layers one after another, by their names; by their numbers if they have none."""
    steps = list(flow(layers, width_in, 1))
    if not any(step.layer.name for step in steps):
        return Call(nn.Sequential, tuple(map(_call, steps)))
    return Call(blocks.row, (), {step.layer.name: _call(step) for step in steps})


def _call(step: Step) -> Call:
    """What makes one layer."""
    layer, width = step.layer, step.width
    if isinstance(layer, Conv) and (layer.norm != "batch" or layer.patches):
        return _spelled_out(layer, width)
    if isinstance(layer, Conv):
        named: dict[str, Any] = {}
        if layer.stride > 1:
            named["stride"] = layer.stride
        if layer.groups != 1:
            named["groups"] = width if layer.groups == DEPTHWISE else layer.groups
        if layer.act is not None:
            named["act"] = layer.act
        kernel = (layer.kernel,) if layer.kernel > 1 else ()
        return Call(blocks.ConvNormAct, (width, layer.width, *kernel), named)
    if isinstance(layer, SqueezeExcite):
        gate = {"gate": layer.gate} if layer.gate != "sigmoid" else {}
        return Call(blocks.SqueezeExcite, (width, layer.squeeze), {"act": layer.act} | gate)
    if isinstance(layer, LayerNorm):
        return Call(blocks.LayerNorm2d, (width,))
    if isinstance(layer, LayerScale):
        return Call(blocks.LayerScale, (width, layer.initial))
    if isinstance(layer, Pool):
        sizes = (layer.kernel, layer.stride, layer.kernel // 2)
        if layer.kind == "max":
            return Call(nn.MaxPool2d, sizes)
        return Call(nn.AvgPool2d, sizes, {"count_include_pad": False})
    if isinstance(layer, GlobalPool):
        return Call(nn.AdaptiveAvgPool2d, (1,))
    return Call(nn.Linear, (width, layer.width))


def _spelled_out(layer: Conv, width_in: int) -> Call:
    """A convolution that is no `ConvNormAct`; alone if it has neither norm nor activation."""
    named: dict[str, Any] = {"stride": layer.stride} if layer.stride > 1 else {}
    if layer.kernel > 1 and not layer.patches:
        named["padding"] = layer.kernel // 2
    if layer.groups != 1:
        named["groups"] = width_in if layer.groups == DEPTHWISE else layer.groups
    if layer.norm == "batch":
        named["bias"] = False
    conv = Call(nn.Conv2d, (width_in, layer.width, layer.kernel), named)
    parts = {"pad": Call(blocks.PatchPad, (layer.kernel,))} if layer.patches else {}
    parts["conv"] = conv
    if layer.norm is not None:
        kind = nn.BatchNorm2d if layer.norm == "batch" else blocks.LayerNorm2d
        parts["norm"] = Call(kind, (layer.width,))
    if layer.act is not None:
        parts["act"] = Call(blocks.activation, (layer.act,))
    return Call(blocks.row, (), parts) if len(parts) > 1 else conv
