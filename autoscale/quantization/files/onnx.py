"""A graph as an ONNX file, in float32 or int8; who calls writes it to disk.

An int8 graph has a quantisation after every operation and a dequantisation before the next (QDQ),
which runtimes turn into operations on integers. Weights, biases and maps are the graph's, but that
maps are unsigned, a zero point 128 higher: processors without VNNI need that, others take it at no
loss. On such processors ONNX Runtime adds up products of bytes and weights in pairs of 16 bits,
signed bytes too (version 1.32.0), so for right answers there weights must be at most
`arithmetic.WEIGHT_IN_PAIRS`; larger ones cut sums off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autoscale.design.tflite.operations import NORMALISED
from autoscale.design.tflite.pads import Pads
from autoscale.distribution import VERSION, require
from autoscale.errors import InvalidSetting
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import LOWEST, Quantization
from autoscale.quantization.quantized import QuantizedGraph

#: The operator set, as `network.interchange.onnx` asks for; the first with Gelu.
OPSET = 20
#: The oldest version of the file format that knows this operator set's types.
_IR_VERSION = 10
_FUNCTIONS = {"logistic": "Sigmoid", "hswish": "HardSwish", "gelu": "Gelu", "relu": "Relu"}
#: What goes in: normalised images, float32, or bytes 0..255; (batch, C, H, W) both.
Taken = Literal["images", "pixels"]
OUTPUT = "logits"


def to_onnx(
    network: g.Graph | QuantizedGraph,
    *,
    takes: Taken = "images",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of an ONNX file; no network is traced, so it takes a second at most.

    Out: `logits`, float32 (batch, classes).

    Args:
        takes: what goes in, and its name.
        metadata: text by name, for the model's `metadata_props`.

    Raises:
        InvalidSetting: if the packages of the extra `export` are missing, or for an int8 graph of
            images that normalises each channel in another way: these are one map of one scale.
    """
    require("export", "an ONNX file")
    if not isinstance(network, QuantizedGraph):
        return _File(network, None, takes).content(metadata or {})
    if takes == "images" and network.graph.operations[0].name == NORMALISED:
        raise InvalidSetting(
            "an ONNX file in int8 needs one mean and one deviation for all channels; normalise "
            "images alike, or write a LiteRT file"
        )
    return _File(network.graph, network, takes).content(metadata or {})


class _File:
    """Collects the nodes and the numbers of a file."""

    def __init__(self, graph: g.Graph, network: QuantizedGraph | None, takes: Taken) -> None:
        import onnx

        self.onnx: Any = onnx
        self.graph, self.network, self.takes = graph, network, takes
        self.nodes: list[Any] = []
        self.numbers: dict[str, Any] = {}
        self.values: dict[str, str] = {}  # the value that readers of a map take

    def content(self, metadata: Mapping[str, str]) -> bytes:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        for operation in self.begun():
            made = self.operation(operation, [self.values[name] for name in operation.inputs])
            self.values[operation.name] = self.steps(made, operation.name)
        self.node("Identity", [self.values[self.graph.output.name]], OUTPUT)
        kind = kinds.UINT8 if self.takes == "pixels" else kinds.FLOAT
        sides = ["batch", self.graph.channels, *self.graph.size]
        logits = ["batch", *self.graph.output.shape]
        graph = helper.make_graph(
            self.nodes,
            "autoscale",
            [helper.make_tensor_value_info(self.takes, kind, sides)],
            [helper.make_tensor_value_info(OUTPUT, kinds.FLOAT, logits)],
            list(self.numbers.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="autoscale",
            producer_version=VERSION,
        )
        for name, text in metadata.items():
            model.metadata_props.add(key=name, value=text)
        self.onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content

    def begun(self) -> tuple[g.Operation, ...]:
        """Take what goes in, and give the operations that are left."""
        operations = tuple(self.graph.operations)
        if self.takes == "images":
            # Callers normalise images themselves.
            normalises = operations[0].name == NORMALISED
            source = NORMALISED if normalises else g.PIXELS
            self.values[source] = self.steps("images", source)
            return operations[normalises:]
        if self.network is None:
            self.values[g.PIXELS] = self.node("Cast", ["pixels"], "pixels.numbers", to=1)
            return operations
        own = self.scale(g.PIXELS, self.network.maps[g.PIXELS])
        self.values[g.PIXELS] = self.back("pixels", own, "pixels")
        return operations

    # Values

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, numbers: NDArray[Any]) -> str:
        # A scale must stay without dimensions: ONNX Runtime keeps sums and products of maps whose
        # scale has one dimension, of one number, in float.
        whole = np.ascontiguousarray(numbers).reshape(numbers.shape)
        self.numbers[name] = self.onnx.numpy_helper.from_array(whole, name)
        return name

    def steps(self, value: str, name: str, place: str = "") -> str:
        """A map as its readers take it: rounded to its steps if the graph is of int8.

        Args:
            name: of the map.
            place: of the nodes, if not that.
        """
        if self.network is None:
            return value
        own, place = self.scale(name, self.network.maps[name]), place or name
        return self.back(self.node("QuantizeLinear", [value, *own], f"{place}.steps"), own, place)

    def back(self, integers: str, own: list[str], name: str, **attributes: Any) -> str:
        """Integers as the numbers that they stand for."""
        return self.node("DequantizeLinear", [integers, *own], f"{name}.numbers", **attributes)

    def scale(self, name: str, of: Quantization) -> list[str]:
        """Of a map, whose integers are 0..255 here."""
        zero = np.array(of.zero_point - LOWEST, np.uint8)
        return [
            self.constant(f"{name}.scale", np.array(of.scale, np.float32)),
            self.constant(f"{name}.zero", zero),
        ]

    # Operations

    def operation(self, operation: g.Operation, inputs: list[str]) -> str:
        """The value that it makes."""
        name = operation.name
        if isinstance(operation, g.Convolution):
            found = self.node(
                "Conv",
                [*inputs, *self.kernel(operation)],
                f"{name}.linear",
                kernel_shape=[operation.kernel] * 2,
                strides=[operation.stride] * 2,
                pads=_both_ends(operation.pads),
                group=operation.groups,
            )
            return self.activated(operation.act, found, name)
        if isinstance(operation, g.Linear):
            source = operation.inputs[0]
            flat = self.node("Flatten", inputs, f"{name}.flat")
            flat = self.steps(flat, source, f"{name}.flat")
            return self.node("Gemm", [flat, *self.kernel(operation)], name, transB=1)
        if isinstance(operation, g.Sum):
            found = self.node("Add", inputs, f"{name}.linear")
            return self.activated(operation.act, found, name)
        if isinstance(operation, g.Product):
            factors = inputs if operation.constant is None else [*inputs, self.factor(operation)]
            return self.node("Mul", factors, name)
        if isinstance(operation, g.Mean):
            return self.node("GlobalAveragePool", inputs, name)
        if isinstance(operation, g.Pool):
            return self.pool(operation, inputs)
        assert isinstance(operation, g.Function)
        if operation.kind == "relu6":
            return self.activated("relu6", inputs[0], name)
        return self.node(_FUNCTIONS[operation.kind], inputs, name)

    def activated(self, act: g.Act | None, value: str, name: str) -> str:
        """In int8 the steps of a map cut off what its activation does."""
        if act is None or (self.network is not None and _within(self.network.maps[name], act)):
            return value
        if act == "relu":
            return self.node("Relu", [value], name)
        ends = [self.constant(f"relu6.{end}", np.array(end, np.float32)) for end in (0, 6)]
        return self.node("Clip", [value, *ends], name)

    def kernel(self, operation: g.Convolution | g.Linear) -> list[str]:
        """Weights and biases."""
        name = operation.name
        if self.network is None:
            return [
                self.constant(f"{name}.weight", operation.weight),
                self.constant(f"{name}.bias", operation.bias),
            ]
        found, source = self.network.kernels[name], self.network.maps[operation.inputs[0]].scale
        scales = found.scales if len(found.scales) > 1 else found.scales[0]
        biases = np.asarray(scales * np.float64(source), np.float32)
        axis = {"axis": 0} if len(found.scales) > 1 else {}
        return [
            self.integers(f"{name}.weight", found.weight, scales, **axis),
            self.integers(f"{name}.bias", found.bias, biases, **axis),
        ]

    def integers(self, name: str, numbers: NDArray[Any], scales: Any, **attributes: Any) -> str:
        """Constant integers around 0 as the numbers that they stand for."""
        steps = np.asarray(scales, np.float32)
        own = [
            self.constant(f"{name}.scale", steps),
            self.constant(f"{name}.zero", np.zeros(steps.shape, numbers.dtype)),
        ]
        return self.back(self.constant(name, numbers), own, name, **attributes)

    def factor(self, operation: g.Product) -> str:
        name = f"{operation.name}.factor"
        assert operation.constant is not None
        if self.network is None:
            return self.constant(name, operation.constant)
        integers, of = self.network.constants[operation.name]
        unsigned = (integers.astype(np.int16) - LOWEST).astype(np.uint8)
        return self.back(self.constant(name, unsigned), self.scale(name, of), name)

    def pool(self, operation: g.Pool, inputs: list[str]) -> str:
        kind = "MaxPool" if operation.kind == "max" else "AveragePool"
        return self.node(
            kind,
            inputs,
            operation.name,
            kernel_shape=[operation.kernel] * 2,
            strides=[operation.stride] * 2,
            pads=_both_ends(operation.pads),
        )


def _both_ends(pads: Pads) -> list[int]:
    """Above and left, then below and right."""
    return [pads.height.before, pads.width.before, pads.height.after, pads.width.after]


def _within(of: Quantization, act: g.Act) -> bool:
    """Whether the integers of a map cut off all that its activation does."""
    low, high = of.range
    return low >= 0 and (act == "relu" or high <= 6 + of.scale / 2)
