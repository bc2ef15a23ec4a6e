"""A graph in int8 as an ONNX file of quantise and dequantise pairs ("QDQ"), as bytes.

A runtime that knows the pairs computes in integers. Weights, biases and maps are the graph's,
but that maps are unsigned: a zero point is 128 more. On x86 processors without VNNI, ONNX Runtime
adds up products of bytes and weights in pairs of 16 bits, signed bytes too (version 1.32.0), so
weights must be at most `arithmetic.WEIGHT_IN_PAIRS`, or sums are cut off.

In: bytes 0..255, (N, C, S, S). Out: logits, float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autoscale.distribution import VERSION, require
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import LOWEST, WEIGHT_IN_PAIRS, Quantization
from autoscale.quantization.quantized import QuantizedGraph

#: The operator set; the first with Gelu.
OPSET = 20
_FUNCTIONS = {"logistic": "Sigmoid", "hswish": "HardSwish", "gelu": "Gelu",
              "relu": "Relu", "relu6": "Clip"}  # fmt: skip
INPUT, OUTPUT = "pixels", "logits"


def to_onnx_int8(network: QuantizedGraph, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of an ONNX file.

    Args:
        network: in NCHW, its weights at most `arithmetic.WEIGHT_IN_PAIRS`.
        metadata: text by name, for the model's `metadata_props`.

    Raises:
        InvalidSetting: if the packages of the extra `export` are missing.
        ValueError: if a weight is larger.
    """
    require("export", "an ONNX file")
    import onnx

    largest = max(int(np.abs(one.weight.astype(int)).max()) for one in network.kernels.values())
    if largest > WEIGHT_IN_PAIRS:
        raise ValueError(f"weights reach {largest}; quantise with at most {WEIGHT_IN_PAIRS}")

    file = _File(network)
    file.begin()
    for operation in network.graph.operations:
        file.operation(operation)
    size, channels = network.graph.resolution, network.graph.channels
    kinds = onnx.TensorProto
    sides: list[int | str] = ["batch", channels, size, size]
    classes = network.graph.output.shape[0]
    last = file.numbers[network.graph.output.name]
    file.node("Identity", [last], OUTPUT)
    graph = onnx.helper.make_graph(
        file.nodes,
        "main",
        [onnx.helper.make_tensor_value_info(INPUT, kinds.UINT8, sides)],
        [onnx.helper.make_tensor_value_info(OUTPUT, kinds.FLOAT, ["batch", classes])],
        file.constants,
    )
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=9,
        producer_name="autoscale",
        producer_version=VERSION,
    )
    for name, text in (metadata or {}).items():
        model.metadata_props.add(key=name, value=text)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


class _File:
    """Collects nodes and constants."""

    def __init__(self, network: QuantizedGraph) -> None:
        self.network = network
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.numbers: dict[str, str] = {}  # of each map, the float value that stands for it

    def node(self, kind: str, inputs: list[str], made: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [made], name=made, **attributes))
        return made

    def constant(self, name: str, numbers: ArrayLike) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.array(numbers, order="C"), name))
        return name

    def scale(self, name: str, of: Quantization) -> list[str]:
        """Scale and zero point of a map."""
        return [
            self.constant(f"{name}.scale", np.float32(of.scale)),
            self.constant(f"{name}.zero", np.uint8(of.zero_point - LOWEST)),
        ]

    def begin(self) -> None:
        """What callers give stands for the first map."""
        of = self.scale(g.PIXELS, self.network.maps[g.PIXELS])
        self.numbers[g.PIXELS] = self.node("DequantizeLinear", [INPUT, *of], f"{g.PIXELS}.numbers")

    def map(self, name: str, made: str) -> None:
        """A map in bytes, made of numbers."""
        of = self.scale(name, self.network.maps[name])
        stored = self.node("QuantizeLinear", [made, *of], f"{name}.bytes")
        self.numbers[name] = self.node("DequantizeLinear", [stored, *of], f"{name}.numbers")

    def operation(self, operation: g.Operation) -> None:
        inputs = [self.numbers[name] for name in operation.inputs]
        made = f"{operation.name}.made"
        act: g.Act | None = None
        if isinstance(operation, g.Convolution):
            act = operation.act
            before, after = operation.pads
            self.node(
                "Conv", [inputs[0], *self.kernel(operation)], made,
                pads=[before, before, after, after], strides=[operation.stride] * 2,
                kernel_shape=[operation.kernel] * 2, group=operation.groups,
            )  # fmt: skip
        elif isinstance(operation, g.Linear):
            flat = self.node("Flatten", [inputs[0]], f"{operation.name}.flat")
            self.node("Gemm", [flat, *self.kernel(operation)], made, transB=1)
        elif isinstance(operation, g.Sum):
            act = operation.act
            self.node("Add", inputs, made)
        elif isinstance(operation, g.Product):
            factor = inputs[1:] or [self.factor(operation)]
            self.node("Mul", [inputs[0], *factor], made)
        elif isinstance(operation, g.Mean):
            self.node("GlobalAveragePool", inputs, made)
        elif isinstance(operation, g.Pool):
            self.pool(operation, inputs, made)
        else:
            assert isinstance(operation, g.Function)
            self.function(operation.kind, inputs, made)
        self.map(operation.name, self.activated(act, made, self.network.maps[operation.name]))

    def function(self, kind: str, inputs: list[str], made: str) -> str:
        ends = self.ends(made) if kind == "relu6" else []
        return self.node(_FUNCTIONS[kind], [*inputs, *ends], made)

    def ends(self, name: str) -> list[str]:
        """0 and 6, between which a ReLU6 cuts."""
        return [
            self.constant(f"{name}.{end}", np.float32(value))
            for end, value in (("least", 0), ("most", 6))
        ]

    def activated(self, act: g.Act | None, made: str, of: Quantization) -> str:
        """Numbers after an activation, which their bytes cut off anyhow where they reach no
        farther."""
        low, high = of.range
        if act is None or (low >= 0 and (act == "relu" or high <= 6 + of.scale / 2)):
            return made
        return self.function(act, [made], f"{made}.{act}")

    def kernel(self, operation: g.Convolution | g.Linear) -> list[str]:
        """Weights and biases as numbers, of their integers."""
        name, found = operation.name, self.network.kernels[operation.name]
        source = self.network.maps[operation.inputs[0]].scale
        scales = found.scales if len(found.scales) > 1 else found.scales[0]
        axis = {"axis": 0} if len(found.scales) > 1 else {}
        weight = [
            self.constant(f"{name}.weight.integers", found.weight),
            self.constant(f"{name}.weight.scale", scales),
        ]
        bias = [
            self.constant(f"{name}.bias.integers", found.bias),
            self.constant(f"{name}.bias.scale", (scales * np.float32(source)).astype(np.float32)),
        ]
        return [
            self.node("DequantizeLinear", weight, f"{name}.weight", **axis),
            self.node("DequantizeLinear", bias, f"{name}.bias", **axis),
        ]

    def factor(self, operation: g.Product) -> str:
        name = f"{operation.name}.factor"
        integers, of = self.network.constants[operation.name]
        unsigned = (integers.astype(np.int16) - LOWEST).astype(np.uint8)[None]
        stored = [self.constant(f"{name}.bytes", unsigned), *self.scale(name, of)]
        return self.node("DequantizeLinear", stored, name)

    def pool(self, operation: g.Pool, inputs: list[str], made: str) -> str:
        before, after = operation.pads
        kind, own = "MaxPool", {}
        if operation.kind == "average":
            kind, own = "AveragePool", {"count_include_pad": 0}
        return self.node(
            kind, inputs, made, kernel_shape=[operation.kernel] * 2,
            strides=[operation.stride] * 2, pads=[before, before, after, after], **own,
        )  # fmt: skip
