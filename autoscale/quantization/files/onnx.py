"""A graph as an ONNX file, in float32 or int8; who calls writes it to disk.

In: normalised images `images`, float32 (batch, 3, S, S). Out: `logits`, float32 (batch, classes).
An int8 graph has a quantisation after every operation and a dequantisation before the next (QDQ),
which runtimes turn into operations on integers. Weights are signed, with a scale for each output
channel; maps are unsigned, which processors without VNNI need and others take at no loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.distribution import VERSION, require
from autoscale.errors import InvalidSetting
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import LOWEST, Quantization
from autoscale.quantization.lower import NORMALISED
from autoscale.quantization.quantized import QuantizedGraph

#: As `network.interchange.onnx` asks for.
OPSET = 20
#: The oldest version of the file format that knows this operator set's types.
_IR_VERSION = 10
#: The largest number that ReLU6 gives, and what a scale's last digit adds to it.
_SIX = 6 * (1 + 1e-6)
_FUNCTIONS = {"logistic": "Sigmoid", "hswish": "HardSwish", "gelu": "Gelu", "relu": "Relu"}


def graph_to_onnx(network: g.Graph | QuantizedGraph) -> bytes:
    """The bytes of an `.onnx` file; no network is traced, so it takes a second at most.

    Raises:
        InvalidSetting: if the packages of the extra `export` are missing, or for an int8 graph
            that normalises each channel in another way: what goes in is one map of one scale.
    """
    require("export", "an ONNX file")
    if not isinstance(network, QuantizedGraph):
        return _File(network, None).content()
    if network.graph.operations[0].name == NORMALISED:
        raise InvalidSetting(
            "an ONNX file in int8 needs one mean and one deviation for all channels; normalise "
            "images alike, or write a LiteRT file"
        )
    return _File(network.graph, network).content()


class _File:
    """Collects the nodes and the numbers of a file."""

    def __init__(self, graph: g.Graph, network: QuantizedGraph | None) -> None:
        import onnx

        self.onnx: Any = onnx
        self.graph, self.network = graph, network
        self.nodes: list[Any] = []
        self.numbers: dict[str, Any] = {}
        self.values: dict[str, str] = {}  # the value that readers of a map take

    def content(self) -> bytes:
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        size, output = self.graph.resolution, self.graph.output
        # Callers normalise images themselves; a graph of int8 has no such operation.
        skipped = 1 if self.graph.operations[0].name == NORMALISED else 0
        source = NORMALISED if skipped else g.PIXELS
        self.values[source] = self.steps("images", source)
        for operation in self.graph.operations[skipped:]:
            made = self.operation(operation, [self.values[name] for name in operation.inputs])
            self.values[operation.name] = self.steps(made, operation.name)
        self.node("Identity", [self.values[output.name]], "logits")
        inputs = [helper.make_tensor_value_info("images", kind, ["batch", 3, size, size])]
        outputs = [helper.make_tensor_value_info("logits", kind, ["batch", *output.shape])]
        graph = helper.make_graph(
            self.nodes, "autoscale", inputs, outputs, list(self.numbers.values())
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="autoscale",
            producer_version=VERSION,
        )
        content: bytes = model.SerializeToString()
        return content

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
            before, after = operation.pads
            found = self.node(
                "Conv",
                [*inputs, *self.kernel(operation)],
                f"{name}.linear",
                kernel_shape=[operation.kernel] * 2,
                strides=[operation.stride] * 2,
                pads=[before, before, after, after],
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
        before, after = operation.pads
        kind = "MaxPool" if operation.kind == "max" else "AveragePool"
        return self.node(
            kind,
            inputs,
            operation.name,
            kernel_shape=[operation.kernel] * 2,
            strides=[operation.stride] * 2,
            pads=[before, before, after, after],
        )


def _within(of: Quantization, act: g.Act) -> bool:
    """Whether all that the integers of a map can stand for is what the activation gives."""
    low, high = of.range
    return low >= 0 and (act == "relu" or high <= _SIX)
