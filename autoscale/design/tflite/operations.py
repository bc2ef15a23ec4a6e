"""The operations of a design as device runtimes know them, in the order in which they run.

They follow from the layers, as costs do: a batch norm is folded into the convolution before it, and
a ReLU or ReLU6 costs no operation. All others do: a SiLU is a logistic function and a product, a
hard-swish one operation, squeeze-and-excitation a mean, two convolutions, a gate and a product.
First of all bytes of the picture become normalised pixels.

Here is said what every operation is, its constants by their meaning. Who has the numbers of a
network adds them (`quantization.lower`); what a TensorFlow Lite file holds besides is in `graph`.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from autoscale.design.architecture import Stage, Stem
from autoscale.design.blocks.layers import (
    DEPTHWISE,
    Activation,
    Conv,
    GlobalPool,
    Layer,
    LayerNorm,
    LayerScale,
    Layout,
    Linear,
    MapSize,
    Pool,
    SqueezeExcite,
    area,
    output_size,
)
from autoscale.design.style import Padding
from autoscale.design.tflite.pads import NO_PADS, Pads, need_operation, pads_of, symmetric_pads
from autoscale.design.walk import Place, head_layers, stem_layers, walk_stage
from autoscale.errors import InvalidSetting

Kind = Literal[
    "quantize",  # of a file, as the paddings
    "conv",
    "depthwise",
    "fully-connected",
    "pad",
    "pad-lowest",
    "add",
    "mul",
    "logistic",
    "hswish",
    "gelu",
    "mean",
    "max-pool",
    "average-pool",
]
#: What the constants of an operation are.
Constants = Literal[
    "layer",  # the weights and biases of a layer, batch norm folded
    "layer+3",  # the same, and each bias 3 larger
    "normalisation",  # a filter of one pixel: (byte / 255 - mean) / deviation of each channel
    "window",  # a filter that takes the mean of its window, zeros around the map counted
    "unpadded",  # a factor for each pixel, which takes those zeros out of the mean again
    "sixth",  # the factor 1/6
]

#: The name of the normalised pixels.
NORMALISED = "normalised"


class Tensor(NamedTuple):
    """A map of one image: `width` channels of `size`."""

    size: MapSize
    width: int

    @property
    def numbers(self) -> int:
        """How many it holds."""
        return int(area(self.size) * self.width)


class Operation(NamedTuple):
    """One operation. It reads maps by their places in `Graph.tensors`.

    In its name `{0}` stands for that of the part's first layer with weights, `{1}` for that of the
    second, `{given}` for that of the map that the part is given, `{stage}` for the stage's number.
    """

    kind: Kind
    inputs: tuple[int, ...]
    name: str = ""
    constants: Constants | None = None
    weights: int = 0  # constants that it holds besides biases, one a number
    channels: int = 0  # outputs with a bias and a scale of their own
    kernel: int = 1
    stride: int = 1
    pads: Pads = NO_PADS
    groups: int = 1
    act: Literal["relu", "relu6"] | None = None


class Graph(NamedTuple):
    """Operations in their order. The first tensor is what is given, each other one what the
    operation before it in number makes; the last is the answer."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]


def operations_of(place: Place, padding: Padding) -> Graph:
    """The operations of a stem, a stage or a head where it stands.

    Raises:
        InvalidSetting: for a layer that runtimes have no operation for.
    """
    return Writer(padding).written(place)


class Writer:
    """Puts operations one after the other; the last tensor is what the next one reads."""

    def __init__(self, padding: Padding) -> None:
        self.padding = padding
        self.tensors, self.operations = list[Tensor](), list[Operation]()
        self.names, self._named = ["{given}"], 0  # of each tensor; layers with weights so far

    def written(self, place: Place) -> Graph:
        """The operations of one part."""
        self.tensors.append(Tensor(place.size, place.width_in))
        part = place.part
        if isinstance(part, Stage):
            for block in walk_stage(place):
                self.block(block.layout, f"stages.{{stage}}.{block.number}")
        elif isinstance(part, Stem):
            self.normalised()
            self.layers(stem_layers(part, place.width))
        else:
            self.layers(head_layers(part, place.width, place.num_classes))
        return Graph(tuple(self.tensors), tuple(self.operations))

    @property
    def last(self) -> int:
        """The place of the last tensor."""
        return len(self.operations)

    def add(self, made: Tensor, operation: Operation) -> int:
        """An operation and the tensor that it makes; gives the place of that."""
        self.tensors.append(made)
        self.names.append(operation.name)
        self.operations.append(operation)
        return len(self.operations)

    def layer_name(self) -> str:
        """What stands for the name of the next layer with weights."""
        self._named += 1
        return f"{{{self._named - 1}}}"

    def normalised(self) -> None:
        """From bytes to normalised pixels."""
        made, inputs = self.tensors[-1], (self.last,)
        width = made.width
        self.add(
            made,
            Operation("depthwise", inputs, NORMALISED, "normalisation", width, width, groups=width),
        )

    def block(self, layout: Layout, place: str) -> None:
        """A block: its branch, its shortcut, their sum."""
        self.layers(layout.entry, place)
        given = self.last
        self.layers(layout.branch, place)
        branch, shortcut = self.last, layout.shortcut
        if layout.branch and not shortcut.added:
            return
        through = given
        if shortcut.layer is not None:
            through = self.layer(shortcut.layer, given, f"{place}.shortcut")
        if not layout.branch:
            return
        act, fused = layout.act, _fused(layout.act)
        total = Operation("add", (branch, through), f"{place}.sum", act=fused)
        self.add(self.tensors[branch], total)
        if act is not None and fused is None:
            self.activation(act)

    def layers(self, layers: Iterable[Layer], place: str = "") -> None:
        """Layers, each given what the one before it makes; `place` is their block's name."""
        for layer in layers:
            self.layer(layer, self.last, place)

    def layer(self, layer: Layer, given: int, place: str) -> int:
        """A layer; gives the place of what it makes."""
        if isinstance(layer, Conv):
            return self.conv(layer, given)
        if isinstance(layer, SqueezeExcite):
            return self.excite(layer, given)
        if isinstance(layer, Pool):
            return self.pool(layer, given, f"{place or self.names[given]}.pool")
        width = self.tensors[given].width
        if isinstance(layer, GlobalPool):
            return self.add(Tensor(1, width), Operation("mean", (given,), "pool"))
        if isinstance(layer, Linear):
            weights, name = width * layer.width, self.layer_name()
            made = Operation("fully-connected", (given,), name, "layer", weights, layer.width)
            return self.add(Tensor(1, layer.width), made)
        raise _lacking(layer)

    def conv(self, layer: Conv, given: int, constants: Constants = "layer") -> int:
        """A convolution with its activation."""
        if layer.norm == "layer":
            raise _lacking(LayerNorm())
        size, width = self.tensors[given]
        made, kernel = layer.width, layer.kernel
        groups, pads = width if layer.groups == DEPTHWISE else layer.groups, NO_PADS
        act, fused = layer.act, _fused(layer.act)
        if kernel > 1:
            pads = pads_of(layer, size, self.padding)
            given, pads = self.around(given, kernel, layer.stride, pads)
        convolved = self.add(
            Tensor(output_size(size, layer.stride), made),
            Operation(
                "depthwise" if groups == width == made else "conv",
                (given,),
                self.layer_name(),
                constants,
                weights=kernel * kernel * (width // groups) * made,
                channels=made,
                kernel=kernel,
                stride=layer.stride,
                pads=pads,
                groups=groups,
                act=fused,
            ),
        )
        return convolved if act is None or fused else self.activation(act)

    def pool(self, layer: Pool, given: int, name: str) -> int:
        """A pooling. A mean of windows that no runtime places so is a filter, and a factor for
        each pixel."""
        (size, width), kernel, stride = self.tensors[given], layer.kernel, layer.stride
        made, pads = Tensor(output_size(size, stride), width), symmetric_pads(size, kernel, stride)
        filters = layer.kind == "average" and need_operation(pads, size, kernel, stride)
        given, pads = self.around(given, kernel, stride, pads, "pad" if filters else "pad-lowest")
        kind: Kind = "max-pool" if layer.kind == "max" else "average-pool"
        pooled = Operation(kind, (given,), name, kernel=kernel, stride=stride, pads=pads)
        if not filters:
            return self.add(made, pooled)
        filtered = pooled._replace(
            kind="depthwise",
            name=f"{name}.filter",
            constants="window",
            weights=kernel * kernel * width,
            channels=width,
            groups=width,
        )
        factors = area(made.size)
        given = self.add(made, filtered)
        return self.add(made, Operation("mul", (given,), name, "unpadded", factors))

    def around(
        self, given: int, kernel: int, stride: int, pads: Pads, kind: Kind = "pad"
    ) -> tuple[int, Pads]:
        """What an operation reads, and the pads that are left to it: all of them."""
        return given, pads

    def activation(self, act: Activation) -> int:
        """Of the last tensor, what no convolution or sum computes itself."""
        given, made, name = self.last, self.tensors[-1], self.names[-1]
        if act == "silu":
            gate = self.add(made, Operation("logistic", (given,), f"{name}.logistic"))
            return self.add(made, Operation("mul", (given, gate), f"{name}.silu"))
        assert act in ("hswish", "gelu")
        return self.add(made, Operation(act, (given,), f"{name}.{act}"))

    def excite(self, layer: SqueezeExcite, given: int) -> int:
        """Squeeze-and-excitation: the map waits until its gate is there."""
        made = self.tensors[given]
        mean = Operation("mean", (given,), f"{self.names[given]}.pool")
        pooled = self.add(Tensor(1, made.width), mean)
        self.conv(Conv(layer.squeeze, act=layer.act, norm=None), pooled)
        gate = self.gate(layer, made.width)
        return self.add(made, Operation("mul", (given, gate), f"{self.names[gate]}.excited"))

    def gate(self, layer: SqueezeExcite, width: int) -> int:
        """A factor for each channel; a hard sigmoid is a ReLU6 of 3 more, divided by 6."""
        if layer.gate == "sigmoid":
            given = self.conv(Conv(width, norm=None), self.last)
            made = Operation("logistic", (given,), f"{self.names[given]}.logistic")
        else:
            given = self.conv(Conv(width, act="relu6", norm=None), self.last, "layer+3")
            made = Operation("mul", (given,), f"{self.names[given]}.hsigmoid", "sixth", 1)
        return self.add(self.tensors[given], made)


def _fused(act: Activation | None) -> Literal["relu", "relu6"] | None:
    """The activation, if runtimes compute it within a convolution or a sum."""
    return act if act in ("relu", "relu6") else None


def _lacking(layer: Layer) -> InvalidSetting:
    what = "layer scale" if isinstance(layer, LayerScale) else "layer norm"
    return InvalidSetting(
        f"{what} is no operation of TensorFlow Lite; its flash and RAM are not known; choose "
        "blocks with batch norm"
    )
