"""The operations of a design as a TensorFlow Lite file has them, in the order of the file.

They follow from the layers, as costs do: a batch norm is folded into the convolution before it, and
a ReLU or ReLU6 costs no operation. All others do: a SiLU is a logistic function and a product, a
hard-swish one operation, squeeze-and-excitation a mean, two convolutions, a gate and a product. A
convolution with stride 2 that pads an even side alike on both ends, as PyTorch does, needs its map
padded before; TensorFlow's padding needs nothing (`Padding`). First of all the bytes of the picture
become whole numbers with a sign, in int8, and normalised pixels.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from autoscale.design.architecture import Architecture, Stage, Stem
from autoscale.design.blocks.layers import (
    DEPTHWISE,
    Activation,
    Conv,
    Gate,
    GlobalPool,
    Layer,
    LayerNorm,
    LayerScale,
    Layout,
    Linear,
    Pool,
    SqueezeExcite,
    output_size,
)
from autoscale.design.style import Padding
from autoscale.design.walk import Place, head_layers, places_of, stem_layers, walk_stage
from autoscale.errors import InvalidSetting

Precision = Literal["int8", "float32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

Kind = Literal[
    "quantize",
    "conv",
    "depthwise",
    "fully-connected",
    "pad",
    "pad-lowest",
    "add",
    "mul",
    "logistic",
    "hard-swish",
    "mean",
    "max-pool",
    "average-pool",
]


class Tensor(NamedTuple):
    """A map of one image: `width` channels of `size` by `size` pixels."""

    size: int
    width: int

    @property
    def numbers(self) -> int:
        """How many it holds."""
        return self.size * self.size * self.width


class Operation(NamedTuple):
    """One operation. It reads and writes maps by their places in `Graph.tensors`."""

    kind: Kind
    inputs: tuple[int, ...]
    output: int
    weights: int = 0  # constants that it holds besides biases, one a number
    channels: int = 0  # outputs with a bias and a scale of their own
    kernel: int = 1
    stride: int = 1
    act: Literal["relu", "relu6"] | None = None


class Graph(NamedTuple):
    """Operations in their order; the first tensor is what is given, the last one the answer."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]


def graph(
    architecture: Architecture, precision: Precision = "int8", padding: Padding = "symmetric"
) -> Graph:
    """The operations of a whole network for one image.

    Raises:
        InvalidSetting: for a layer that TensorFlow Lite has no operation for.
    """
    tensors: list[Tensor] = [Tensor(architecture.resolution, architecture.channels)]
    operations: list[Operation] = []
    for place in places_of(architecture):
        part, shift = part_graph(place, precision, padding), len(tensors) - 1
        tensors += part.tensors[1:]
        operations += [
            one._replace(inputs=tuple([i + shift for i in one.inputs]), output=one.output + shift)
            for one in part.operations
        ]
    return Graph(tuple(tensors), tuple(operations))


@lru_cache(maxsize=65536)
def part_graph(
    place: Place, precision: Precision = "int8", padding: Padding = "symmetric"
) -> Graph:
    """The operations of a stem, a stage or a head where it stands.

    Raises:
        InvalidSetting: for a layer that TensorFlow Lite has no operation for.
    """
    found = _Writer(Tensor(place.size, place.width_in), padding)
    part = place.part
    if isinstance(part, Stage):
        for block in walk_stage(place):
            found.block(block.layout)
    elif isinstance(part, Stem):
        found.pixels(quantised=precision == "int8")
        found.layers(stem_layers(part, place.width))
    else:
        found.layers(head_layers(part, place.width, place.num_classes))
    return Graph(tuple(found.tensors), tuple(found.operations))


class _Writer:
    """Puts operations one after the other; the last tensor is what the next one reads."""

    def __init__(self, given: Tensor, padding: Padding) -> None:
        self.tensors, self.operations, self._padding = [given], list[Operation](), padding

    @property
    def last(self) -> int:
        """The place of the last tensor."""
        return len(self.tensors) - 1

    def add(
        self, kind: Kind, inputs: tuple[int, ...], made: Tensor, **own: int | str | None
    ) -> int:
        """An operation and the tensor that it makes; gives the place of that."""
        self.tensors.append(made)
        self.operations.append(Operation(kind, inputs, self.last, **own))  # type: ignore[arg-type]
        return self.last

    def pixels(self, *, quantised: bool) -> None:
        """From bytes to normalised pixels."""
        if quantised:
            self.add("quantize", (self.last,), self.tensors[-1])
        made = self.tensors[-1]
        self.add("depthwise", (self.last,), made, weights=made.width, channels=made.width)

    def block(self, layout: Layout) -> None:
        """A block: its branch, its shortcut, their sum."""
        self.layers(layout.entry)
        given = self.last
        self.layers(layout.branch)
        branch, shortcut = self.last, layout.shortcut
        if not shortcut.added and not (shortcut.layer is not None and not layout.branch):
            return
        through = given if shortcut.layer is None else self.layer(shortcut.layer, given)
        if not layout.branch:
            return
        fused = layout.act if layout.act in ("relu", "relu6") else None
        self.add("add", (branch, through), self.tensors[branch], act=fused)
        if fused is None and layout.act is not None:
            self.activation(layout.act)

    def layers(self, layers: Iterable[Layer]) -> None:
        """Layers, each given what the one before it makes."""
        for layer in layers:
            self.layer(layer, self.last)

    def layer(self, layer: Layer, given: int) -> int:
        """A layer; gives the place of what it makes."""
        width = self.tensors[given].width
        if isinstance(layer, Conv):
            return self.conv(layer, given)
        if isinstance(layer, SqueezeExcite):
            return self.excite(layer, given)
        if isinstance(layer, Pool):
            return self.pool(layer, given)
        if isinstance(layer, GlobalPool):
            return self.add("mean", (given,), Tensor(1, width))
        if isinstance(layer, Linear):
            made, weights = Tensor(1, layer.width), width * layer.width
            own = {"weights": weights, "channels": layer.width}
            return self.add("fully-connected", (given,), made, **own)
        raise _lacking(layer)

    def conv(self, layer: Conv, given: int) -> int:
        """A convolution with its activation."""
        if layer.norm == "layer":
            raise _lacking(LayerNorm())
        size, width = self.tensors[given]
        alone = layer.groups == DEPTHWISE
        seen = 1 if alone else width // layer.groups
        fused = layer.act if layer.act in ("relu", "relu6") else None
        if not (self._padding == "same" and layer.stride > 1):
            given = self.padded(given, layer.kernel, layer.stride)
        self.add(
            "depthwise" if alone else "conv",
            (given,),
            Tensor(output_size(size, layer.stride), layer.width),
            weights=layer.kernel * layer.kernel * seen * layer.width,
            channels=layer.width,
            kernel=layer.kernel,
            stride=layer.stride,
            act=fused,
        )
        return self.last if fused or layer.act is None else self.activation(layer.act)

    def pool(self, layer: Pool, given: int) -> int:
        """A pooling. A mean of windows that reach beyond the map at one end only is a filter, and a
        factor for each pixel."""
        size, width = self.tensors[given]
        made, (kernel, stride) = Tensor(output_size(size, layer.stride), width), layer[1:3]
        ends = {"kernel": kernel, "stride": stride}
        if layer.kind == "average" and _wanted(size, kernel, stride):
            weights = kernel * kernel * width
            given = self.padded(given, kernel, stride)
            given = self.add("depthwise", (given,), made, weights=weights, channels=width, **ends)
            return self.add("mul", (given,), made, weights=made.size * made.size)
        given = self.padded(given, kernel, stride, kind="pad-lowest")
        kind: Kind = "max-pool" if layer.kind == "max" else "average-pool"
        return self.add(kind, (given,), made, **ends)

    def padded(self, given: int, kernel: int, stride: int, kind: Kind = "pad") -> int:
        """The map with what stands around it that the operation itself does not add."""
        size, width = self.tensors[given]
        if wanted := _wanted(size, kernel, stride):
            return self.add(kind, (given,), Tensor(size + wanted, width))
        return given

    def activation(self, act: Activation) -> int:
        """An activation that no convolution computes on the way."""
        given, made = self.last, self.tensors[-1]
        if act == "hswish":
            return self.add("hard-swish", (given,), made)
        if act == "silu":
            gate = self.add("logistic", (given,), made)
            return self.add("mul", (given, gate), made)
        raise InvalidSetting(
            f"{act} has no operation in TensorFlow Lite Micro; choose relu6, hswish or silu"
        )

    def excite(self, layer: SqueezeExcite, given: int) -> int:
        """Squeeze-and-excitation: the map waits until its gate is there."""
        made = self.tensors[given]
        self.add("mean", (given,), Tensor(1, made.width))
        self.conv(Conv(layer.squeeze, act=layer.act, norm=None), self.last)
        return self.add("mul", (given, self.gate(layer.gate, made.width)), made)

    def gate(self, gate: Gate, width: int) -> int:
        """A factor for each channel; a hard sigmoid is a ReLU6 of 3 more, divided by 6."""
        if gate == "sigmoid":
            given = self.conv(Conv(width, norm=None), self.last)
            return self.add("logistic", (given,), self.tensors[given])
        given = self.conv(Conv(width, act="relu6", norm=None), self.last)
        return self.add("mul", (given,), self.tensors[given], weights=1)


def _wanted(size: int, kernel: int, stride: int) -> int:
    """Pixels by which a side must grow before an operation that pads as TensorFlow does, which puts
    the smaller half before the map; PyTorch puts half a kernel there."""
    wanted = max(0, (output_size(size, stride) - 1) * stride + kernel - size)
    before = 0 if kernel == stride else kernel // 2
    return 0 if before == wanted // 2 else wanted


def _lacking(layer: Layer) -> InvalidSetting:
    what = "layer scale" if isinstance(layer, LayerScale) else "layer norm"
    return InvalidSetting(
        f"{what} is no operation of TensorFlow Lite; its flash and RAM are not known; choose "
        "blocks with batch norm"
    )
