"""From a design and its folded numbers to the graph of operations: a fold over its layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from autoscale.design.architecture import Architecture
from autoscale.design.blocks.layers import (
    DEPTHWISE,
    Activation,
    Conv,
    GlobalPool,
    LayerNorm,
    LayerScale,
    Layout,
    Linear,
    Pool,
    SqueezeExcite,
    Step,
    flow,
)
from autoscale.design.style import Padding
from autoscale.design.walk import head_layers, last_place, stem_layers, walk
from autoscale.errors import InvalidArchitecture, InvalidSetting
from autoscale.quantization import graph as g

#: The name of the normalised pixels.
NORMALISED = "normalised"


def lower(
    architecture: Architecture,
    kernels: Iterable[g.Kernel],
    *,
    padding: Padding,
    mean: Sequence[float],
    deviation: Sequence[float],
) -> g.Graph:
    """The graph of a design.

    Args:
        kernels: of its convolutions and its classifier, batch norms folded, in the order of the
            built network's modules: of a block its entry, its branch, its shortcut.
        padding: of convolutions with a stride.
        mean: of each channel, for pixels in 0..1.
        deviation: of each channel, likewise.

    Raises:
        InvalidArchitecture: if it has layer norms, which LiteRT does not know.
        InvalidSetting: if the kernels are another network's.
    """
    require_operations(architecture)
    found = _Lowering(iter(kernels), padding)
    size = architecture.resolution
    name = found.normalise(size, mean, deviation)
    stem, (head, *_) = architecture.stem, [last_place(architecture)]
    name = found.row(stem_layers(stem, stem.width), name)
    for block in walk(architecture):
        name = found.block(block.layout, name, f"stages.{block.stage}.{block.number}")
    found.row(head_layers(architecture.head, head.width, architecture.num_classes), name)
    if next(found.kernels, None) is not None:
        raise InvalidSetting("the network has more layers than its design")
    return g.Graph(
        resolution=size, channels=architecture.channels, operations=tuple(found.operations)
    )


def require_operations(architecture: Architecture) -> None:
    """
    Raises:
        InvalidArchitecture: if a design has layers that runtimes have no operation for.
    """
    if unsupported(architecture) is not None:
        raise InvalidArchitecture(
            "LiteRT has no layer norm, which this design has; export it as onnx, or take one "
            "with batch norm"
        )


def unsupported(architecture: Architecture) -> str | None:
    """Which part of a design has a layer that runtimes lack, in words; None if none has."""
    stages = architecture.stages
    rows: list[tuple[str, Iterable[object]]] = [
        ("the stem", stem_layers(architecture.stem, architecture.stem.width)),
        *(
            (
                f"the {stages[block.stage].block} block of stage {block.stage + 1}",
                block.layout.entry + block.layout.branch,
            )
            for block in walk(architecture)
        ),
        (
            "the head",
            head_layers(
                architecture.head, last_place(architecture).width, architecture.num_classes
            ),
        ),
    ]
    for part, layers in rows:
        if any(_is_layer_norm(layer) for layer in layers):
            return f"{part} has a layer norm, which LiteRT lacks"
    return None


def _is_layer_norm(layer: object) -> bool:
    norm = isinstance(layer, Conv) and layer.norm == "layer"
    return norm or isinstance(layer, LayerNorm | LayerScale)


class _Lowering:
    """Adds one operation after the other."""

    def __init__(self, kernels: Iterator[g.Kernel], padding: Padding) -> None:
        self.kernels = kernels
        self.padding = padding
        self.operations: list[g.Operation] = []
        self.shapes: dict[str, tuple[int, ...]] = {}

    def add(self, operation: g.Operation) -> str:
        self.operations.append(operation)
        assert operation.name not in self.shapes, operation.name
        self.shapes[operation.name] = operation.shape
        return operation.name

    def normalise(self, size: int, mean: Sequence[float], deviation: Sequence[float]) -> str:
        """(pixel / 255 - mean) / deviation of each channel, as a filter of one pixel."""
        spread = np.asarray(deviation, np.float64)
        return self.add(
            g.Convolution(
                name=NORMALISED,
                inputs=(g.PIXELS,),
                shape=(len(spread), size, size),
                weight=(1 / (255 * spread)).astype(np.float32).reshape(-1, 1, 1, 1),
                bias=(-np.asarray(mean, np.float64) / spread).astype(np.float32),
                groups=len(spread),
            )
        )

    def row(self, layers: Iterable[object], name: str, place: str = "") -> str:
        """Layers one after another; the name of the last map."""
        channels, *sides = self.shapes[name]
        for step in flow(layers, channels, sides[0]):  # type: ignore[arg-type]
            name = self.layer(step, name, place)
        return name

    def block(self, layout: Layout, name: str, place: str) -> str:
        entered = self.row(layout.entry, name, place)
        shortcut = layout.shortcut
        branch = self.row(layout.branch, entered, place)
        if layout.branch and not shortcut.added:
            return branch
        passed = entered
        if shortcut.layer is not None:
            passed = self.row([shortcut.layer], entered, f"{place}.shortcut")
        if not layout.branch:
            return passed
        total = g.Sum(
            name=f"{place}.sum",
            inputs=(branch, passed),
            shape=self.shapes[branch],
            act=_fused(layout.act),
        )
        return self.function(layout.act, self.add(total))

    def layer(self, step: Step, name: str, place: str) -> str:
        layer = step.layer
        if isinstance(layer, Conv):
            return self.function(layer.act, self.convolution(layer, name, _fused(layer.act)))
        if isinstance(layer, SqueezeExcite):
            return self.squeeze_excite(layer, name)
        if isinstance(layer, Pool):
            return self.pool(layer, name, place)
        if isinstance(layer, GlobalPool):
            return self.add(g.Mean(name="pool", inputs=(name,), shape=(step.width, 1, 1)))
        assert isinstance(layer, Linear)
        kernel = self.kernel((layer.width, step.width))
        return self.add(
            g.Linear(
                name=kernel.name,
                inputs=(name,),
                shape=(layer.width,),
                weight=kernel.weight,
                bias=kernel.bias,
            )
        )

    def convolution(self, layer: Conv, name: str, act: g.Act | None = None) -> str:
        """Without activations that are operations of their own."""
        channels, size, _ = self.shapes[name]
        groups = channels if layer.groups == DEPTHWISE else layer.groups
        kernel = self.kernel((layer.width, channels // groups, layer.kernel, layer.kernel))
        side = -(-size // layer.stride)
        return self.add(
            g.Convolution(
                name=kernel.name,
                inputs=(name,),
                shape=(layer.width, side, side),
                weight=kernel.weight,
                bias=kernel.bias,
                stride=layer.stride,
                pads=self.pads(layer, size),
                groups=groups,
                act=act,
            )
        )

    def kernel(self, shape: tuple[int, ...]) -> g.Kernel:
        """The next numbers."""
        found = next(self.kernels, None)
        if found is None or found.weight.shape != shape:
            had = "none" if found is None else f"{found.name} of shape {found.weight.shape}"
            raise InvalidSetting(f"the design has a layer of shape {shape}, the network {had}")
        return found

    def pads(self, layer: Conv, size: int) -> g.Pads:
        if layer.patches:
            return 0, -size % layer.kernel
        if layer.stride > 1 and self.padding == "same":
            return g.same_pads(size, layer.kernel, layer.stride)
        return g.symmetric_pads(size, layer.kernel, layer.stride)

    def function(self, act: Activation | None, name: str) -> str:
        """What no convolution does itself. SiLU is a product with its own logistic."""
        if act is None or _fused(act):
            return name
        shape = self.shapes[name]
        if act in ("hswish", "gelu"):
            return self.add(g.Function(name=f"{name}.{act}", inputs=(name,), shape=shape, kind=act))
        gate = g.Function(name=f"{name}.logistic", inputs=(name,), shape=shape, kind="logistic")
        return self.add(g.Product(name=f"{name}.silu", inputs=(name, self.add(gate)), shape=shape))

    def squeeze_excite(self, layer: SqueezeExcite, name: str) -> str:
        channels = self.shapes[name][0]
        pooled = self.add(g.Mean(name=f"{name}.pool", inputs=(name,), shape=(channels, 1, 1)))
        reduce = Conv(layer.squeeze, act=layer.act, norm=None)
        squeezed = self.function(layer.act, self.convolution(reduce, pooled, _fused(layer.act)))
        expanded = self.gate(layer, squeezed, channels)
        return self.add(
            g.Product(
                name=f"{expanded}.excited",
                inputs=(name, expanded),
                shape=self.shapes[name],
            )
        )

    def gate(self, layer: SqueezeExcite, name: str, channels: int) -> str:
        """The factors of the channels; a hard sigmoid is ReLU6 of x + 3, divided by 6."""
        if layer.gate == "sigmoid":
            expanded = self.convolution(Conv(channels, norm=None), name)
            return self.add(
                g.Function(
                    name=f"{expanded}.logistic",
                    inputs=(expanded,),
                    shape=(channels, 1, 1),
                    kind="logistic",
                )
            )
        kernel = self.kernel((channels, self.shapes[name][0], 1, 1))
        shifted = self.add(
            g.Convolution(
                name=kernel.name,
                inputs=(name,),
                shape=(channels, 1, 1),
                weight=kernel.weight,
                bias=kernel.bias + np.float32(3),
                act="relu6",
            )
        )
        return self.add(
            g.Product(
                name=f"{shifted}.hsigmoid",
                inputs=(shifted,),
                shape=(channels, 1, 1),
                constant=np.full((1, 1, 1), 1 / 6, np.float32),
            )
        )

    def pool(self, layer: Pool, name: str, place: str) -> str:
        """Averages that runtimes cannot place are a filter, corrected where it saw padding."""
        channels, size, _ = self.shapes[name]
        side = -(-size // layer.stride)
        pads = g.symmetric_pads(size, layer.kernel, layer.stride)
        own = f"{place}.pool" if place else f"{name}.pool"
        if layer.kind == "max" or pads == g.same_pads(size, layer.kernel, layer.stride):
            return self.add(
                g.Pool(
                    name=own,
                    inputs=(name,),
                    shape=(channels, side, side),
                    kind=layer.kind,
                    kernel=layer.kernel,
                    stride=layer.stride,
                    pads=pads,
                )
            )
        area = layer.kernel**2
        weight = np.full((channels, 1, layer.kernel, layer.kernel), 1 / area, np.float32)
        filtered = g.Convolution(
            name=f"{own}.filter",
            inputs=(name,),
            shape=(channels, side, side),
            weight=weight,
            bias=np.zeros(channels, np.float32),
            stride=layer.stride,
            pads=pads,
            groups=channels,
        )
        seen = _seen(size, side, layer, pads[0])
        correction = (area / np.outer(seen, seen)).astype(np.float32)[None]
        return self.add(
            g.Product(
                name=own,
                inputs=(self.add(filtered),),
                shape=(channels, side, side),
                constant=correction,
            )
        )


def _seen(size: int, side: int, layer: Pool, before: int) -> np.ndarray:
    """How many pixels of a row of `size` each of `side` windows sees."""
    first = np.arange(side) * layer.stride - before
    return np.minimum(first + layer.kernel, size) - np.maximum(first, 0)


def _fused(act: Activation | None) -> g.Act | None:
    """The activation, if runtimes compute it within a convolution."""
    return act if act in ("relu", "relu6") else None
