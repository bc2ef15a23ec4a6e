"""A TensorFlow Lite file of a design's operations, with weights of no meaning.

Sizes, order and operations are those of a real file; it answers nothing. It is for asking an
interpreter what memory such a file takes.
"""

from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from autoscale.design.blocks.layers import sides
from autoscale.design.tflite.operations import Graph, Operation, Tensor

_CODES = {
    "quantize": (schema.BuiltinOperator.QUANTIZE, 1),
    "conv": (schema.BuiltinOperator.CONV_2D, 3),
    "depthwise": (schema.BuiltinOperator.DEPTHWISE_CONV_2D, 3),
    "fully-connected": (schema.BuiltinOperator.FULLY_CONNECTED, 4),
    "pad": (schema.BuiltinOperator.PAD, 2),
    "pad-lowest": (schema.BuiltinOperator.PADV2, 2),
    "add": (schema.BuiltinOperator.ADD, 2),
    "mul": (schema.BuiltinOperator.MUL, 2),
    "logistic": (schema.BuiltinOperator.LOGISTIC, 2),
    "hswish": (schema.BuiltinOperator.HARD_SWISH, 1),
    "mean": (schema.BuiltinOperator.MEAN, 2),
    "max-pool": (schema.BuiltinOperator.MAX_POOL_2D, 2),
    "average-pool": (schema.BuiltinOperator.AVERAGE_POOL_2D, 2),
}
_ACTS = {
    None: schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


class _File:
    def __init__(self, *, quantised: bool) -> None:
        self.quantised = quantised
        self.buffers = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.codes: dict[str, int] = {}
        self.operators: list[Any] = []

    def tensor(
        self, shape: tuple[int, ...], kind: Any, data: np.ndarray | None, scales: np.ndarray
    ) -> int:
        one = schema.TensorT()
        one.shape, one.type, one.name = list(shape), kind, f"t{len(self.tensors)}"
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            one.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if len(scales):
            one.quantization = schema.QuantizationParametersT()
            one.quantization.scale = scales.astype(np.float32)
            zero = -128 if kind == schema.TensorType.INT8 and data is None else 0
            one.quantization.zeroPoint = np.full(len(scales), zero, np.int64)
            one.quantization.quantizedDimension = 3 if shape[0] == 1 and len(shape) == 4 else 0
        self.tensors.append(one)
        return len(self.tensors) - 1

    def activation(self, shape: tuple[int, ...], scale: float = 0.1) -> int:
        scales = np.array([scale] if self.quantised else [])
        return self.tensor(shape, self.number, None, scales)

    @property
    def number(self) -> Any:
        return schema.TensorType.INT8 if self.quantised else schema.TensorType.FLOAT32

    def constant(self, shape: tuple[int, ...], channels: int) -> int:
        kind = np.int8 if self.quantised else np.float32
        scales = np.full(channels if self.quantised else 0, 0.01)
        return self.tensor(shape, self.number, np.ones(shape, kind), scales)

    def bias(self, channels: int) -> int:
        if not self.quantised:
            data = np.zeros(channels, np.float32)
            return self.tensor((channels,), schema.TensorType.FLOAT32, data, np.array([]))
        scales = np.full(channels, 0.001)
        data = np.zeros(channels, np.int32)
        return self.tensor((channels,), schema.TensorType.INT32, data, scales)

    def whole(self, values: list[list[int]] | list[int]) -> int:
        data = np.array(values, np.int32)
        return self.tensor(data.shape, schema.TensorType.INT32, data, np.array([]))

    def operator(self, kind: str, inputs: list[int], output: int, options: Any) -> None:
        one = schema.OperatorT()
        one.opcodeIndex = self.codes.setdefault(kind, len(self.codes))
        one.inputs, one.outputs = inputs, [output]
        if options is not None:
            one.builtinOptions = options
            name = type(options).__name__.removesuffix("T")
            one.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self.operators.append(one)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return (1, *sides(tensor.size), tensor.width)


def _stays_within(given: Tensor, made: Tensor, op: Operation) -> bool:
    """Whether no window of an operation reaches beyond its map."""
    return all(
        side >= (out - 1) * op.stride + op.kernel
        for side, out in zip(sides(given.size), sides(made.size), strict=True)
    )


def _write(file: _File, op: Operation, graph: Graph, places: list[int]) -> None:
    given, made = graph.tensors[op.inputs[0]], graph.tensors[len(places)]
    flat = op.kind == "fully-connected"
    scale = 1 / 256 if op.kind == "logistic" else 0.1
    shape = (1, made.width) if flat else _shape(made)
    inputs, options = [places[i] for i in op.inputs], None
    if op.kind in ("conv", "depthwise"):
        depthwise = op.kind == "depthwise"
        seen = op.weights // (op.kernel * op.kernel * op.channels)
        weights = (
            (1, op.kernel, op.kernel, op.channels)
            if depthwise
            else (op.channels, op.kernel, op.kernel, seen)
        )
        inputs += [file.constant(weights, op.channels), file.bias(op.channels)]
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        if depthwise:
            options.depthMultiplier = 1
        valid = _stays_within(given, made, op)
        options.padding = schema.Padding.VALID if valid else schema.Padding.SAME
        options.strideH = options.strideW = op.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = _ACTS[op.act]
    elif flat:
        inputs += [file.constant((op.channels, given.width), 1), file.bias(op.channels)]
        if file.quantised:  # one scale for all
            quantization = file.tensors[inputs[-1]].quantization
            quantization.scale, quantization.zeroPoint = [0.001], [0]
        options = schema.FullyConnectedOptionsT()
    elif op.kind in ("pad", "pad-lowest"):
        inputs.append(file.whole([[0, 0], [*op.pads.height], [*op.pads.width], [0, 0]]))
        options = schema.PadOptionsT()
        if op.kind == "pad-lowest":
            inputs.append(file.constant((1,), 1))
            options = schema.PadV2OptionsT()
    elif op.kind == "quantize":
        options = schema.QuantizeOptionsT()
    elif op.kind == "mean":
        inputs.append(file.whole([1, 2]))
        options = schema.ReducerOptionsT()
        options.keepDims = True
    elif op.kind in ("add", "mul"):
        if op.weights:
            shape_of_factor = (1, *sides(made.size), 1) if op.weights > 1 else (1, 1, 1, 1)
            inputs.append(file.constant(shape_of_factor, 1))
        options = schema.AddOptionsT() if op.kind == "add" else schema.MulOptionsT()
        options.fusedActivationFunction = _ACTS[op.act]
    elif op.kind in ("max-pool", "average-pool"):
        options = schema.Pool2DOptionsT()
        valid = _stays_within(given, made, op)
        options.padding = schema.Padding.VALID if valid else schema.Padding.SAME
        options.strideH = options.strideW = op.stride
        options.filterHeight = options.filterWidth = op.kernel
    elif op.kind == "hswish":
        options = schema.HardSwishOptionsT()
    places.append(file.activation(shape, scale))
    file.operator(op.kind, inputs, places[-1], options)


def file_of(graph: Graph, *, quantised: bool) -> bytes:
    """The bytes of a file with these operations, int8 or float32."""
    file = _File(quantised=quantised)
    places = [file.activation(_shape(graph.tensors[0]))]
    if quantised:  # bytes without a sign
        given = file.tensors[0]
        given.type, given.quantization.zeroPoint = schema.TensorType.UINT8, [0]
    for operation in graph.operations:
        _write(file, operation, graph, places)
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = file.tensors, file.operators
    subgraph.inputs, subgraph.outputs = [places[0]], [places[-1]]
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [subgraph], file.buffers
    model.operatorCodes = []
    for kind in file.codes:
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = _CODES[kind]
        code.deprecatedBuiltinCode = min(int(code.builtinCode), 127)
        model.operatorCodes.append(code)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
