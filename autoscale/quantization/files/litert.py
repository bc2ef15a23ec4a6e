"""A graph as a LiteRT file (`.tflite`), in float32 or int8; who calls writes it to disk.

Maps are NHWC in such files and the batch is free. In: pixels 0..255, float32, or bytes for an int8
graph. Out: logits, float32, or int8 with their scale.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.aspect import ImageSize
from autoscale.design.tflite.pads import NO_PADS, need_operation, padded_size
from autoscale.distribution import VERSION, require
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import LOWEST, Quantization
from autoscale.quantization.quantized import QuantizedGraph

_IDENTIFIER = b"TFL3"
#: Bytes to which the numbers of a file are aligned, as its schema demands.
_ALIGNED = 16
_LOWEST_FLOAT = np.float32(np.finfo(np.float32).min)
_FUNCTIONS = {"logistic": "LOGISTIC", "hswish": "HARD_SWISH", "gelu": "GELU",
              "relu": "RELU", "relu6": "RELU6"}  # fmt: skip
#: The version of an operation that took int8 first; float32 was there from version 1.
_INT8_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2, "MUL": 2,
                  "MEAN": 2, "AVERAGE_POOL_2D": 2, "MAX_POOL_2D": 2, "LOGISTIC": 2, "PAD": 2,
                  "PADV2": 2, "GELU": 2, "RELU": 2, "RELU6": 2}  # fmt: skip


def to_litert(
    network: g.Graph | QuantizedGraph,
    *,
    metadata: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a `.tflite` file.

    Args:
        metadata: text by name, which the file holds as buffers.
        files: text by file name, which is added as LiteRT's "associated files": the file is a ZIP
            archive of them too.

    Raises:
        InvalidSetting: if the package of the extra `litert` is missing.
    """
    require("litert", "a LiteRT file")
    quantized = isinstance(network, QuantizedGraph)
    file = _File(network if isinstance(network, QuantizedGraph) else None)
    graph = network.graph if isinstance(network, QuantizedGraph) else network
    file.begin(graph, quantized=quantized)
    for operation in graph.operations:
        file.operation(operation)
    content = file.content(graph, metadata or {})
    return _with_files(content, files) if files else content


class _Steps(NamedTuple):
    """What the integers of a tensor stand for."""

    scales: Any  # one, or one for each channel
    zero_point: int = 0
    dimension: int = 0  # that of the channels


class _File:
    """Collects tensors, buffers and operators of the one subgraph of a file."""

    def __init__(self, network: QuantizedGraph | None) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.network = network
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [self.buffer(None)]  # the first is that of maps, which is empty
        self.operators: list[Any] = []
        self.codes: dict[str, int] = {}
        self.maps: dict[str, int] = {}  # tensor of each map
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.read = -1  # the tensor that callers fill

    # Tensors

    def buffer(self, data: NDArray[np.uint8] | None) -> Any:
        """A buffer whose bytes lie where the schema wants them."""
        schema = self.schema

        class Buffer(schema.BufferT):  # type: ignore[name-defined]
            def Pack(self, builder: Any) -> int:
                place = None if self.data is None else _aligned_vector(builder, self.data)
                schema.BufferStart(builder)
                if place is not None:
                    schema.BufferAddData(builder, place)
                return int(schema.BufferEnd(builder))

        found = Buffer()
        found.data = data
        return found

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str,
        *,
        data: NDArray[Any] | None = None,
        steps: _Steps | None = None,
        signature: tuple[int, ...] | None = None,
    ) -> int:
        """A tensor; its number.

        Args:
            kind: of its numbers, as the schema names it.
            data: of a constant.
            steps: if the numbers are quantised.
            signature: its shape with -1 for what is free.
        """
        found = self.schema.TensorT()
        found.name, found.shape, found.hasRank = name, list(shape), True
        found.type = getattr(self.schema.TensorType, kind)
        found.buffer = 0
        if signature is not None:
            found.shapeSignature = list(signature)
        if data is not None:
            self.buffers.append(self.buffer(np.frombuffer(data.tobytes(), np.uint8)))
            found.buffer = len(self.buffers) - 1
        if steps is not None:
            scales = np.atleast_1d(np.asarray(steps.scales, np.float32))
            found.quantization = self.schema.QuantizationParametersT()
            found.quantization.scale = scales.tolist()
            found.quantization.zeroPoint = [steps.zero_point] * len(scales)
            found.quantization.quantizedDimension = steps.dimension if len(scales) > 1 else 0
        self.tensors.append(found)
        return len(self.tensors) - 1

    def map(self, name: str, shape: tuple[int, ...], of: Quantization | None) -> int:
        """A map of a free batch; `shape` without it, channels first."""
        sides = (shape[1], shape[2], shape[0]) if len(shape) == 3 else shape
        if of is None:
            return self.tensor(name, (1, *sides), "FLOAT32", signature=(-1, *sides))
        return self.tensor(name, (1, *sides), "INT8", steps=_Steps(*of), signature=(-1, *sides))

    def constant(
        self, name: str, numbers: NDArray[Any], kind: str, steps: _Steps | None = None
    ) -> int:
        data = np.ascontiguousarray(numbers)
        return self.tensor(name, numbers.shape, kind, data=data, steps=steps)

    def quantization(self, name: str) -> Quantization | None:
        return None if self.network is None else self.network.maps[name]

    # Operators

    def operator(
        self, kind: str, inputs: list[int], output: int, options: Any = None, union: str = ""
    ) -> int:
        found = self.schema.OperatorT()
        found.opcodeIndex = self.codes.setdefault(kind, len(self.codes))
        found.inputs, found.outputs = inputs, [output]
        if options is not None:
            found.builtinOptions = options
            found.builtinOptionsType = getattr(self.schema.BuiltinOptions, union)
        self.operators.append(found)
        return output

    def begin(self, graph: g.Graph, *, quantized: bool) -> None:
        """What callers fill; bytes become int8 of the same steps first."""
        self.shapes = graph.shapes
        shape = self.shapes[g.PIXELS]
        sides = (shape[1], shape[2], shape[0])
        of = self.quantization(g.PIXELS)
        if of is not None:  # before the map: of maps as large, an interpreter plans the first first
            self.read = self.tensor(
                g.PIXELS, (1, *sides), "UINT8",
                steps=_Steps(of.scale, of.zero_point - LOWEST), signature=(-1, *sides),
            )  # fmt: skip
        pixels = self.map(g.PIXELS, shape, of)
        self.maps[g.PIXELS] = pixels
        if of is None:
            self.read = pixels
            return
        self.tensors[pixels].name = f"{g.PIXELS}.int8"
        options = self.schema.QuantizeOptionsT()
        self.operator("QUANTIZE", [self.read], pixels, options, "QuantizeOptions")

    def operation(self, operation: g.Operation) -> None:
        inputs = [self.maps[name] for name in operation.inputs]
        of = self.quantization(operation.name)
        made = self.map(operation.name, operation.shape, of)
        self.maps[operation.name] = made
        schema = self.schema
        if isinstance(operation, g.Convolution):
            self.convolution(operation, inputs[0], made)
        elif isinstance(operation, g.Linear):
            weight, bias = self.kernel(operation, (0, 1), channels=0)
            options = schema.FullyConnectedOptionsT()
            self.operator(
                "FULLY_CONNECTED", [inputs[0], weight, bias], made, options, "FullyConnectedOptions"
            )
        elif isinstance(operation, g.Sum):
            options = schema.AddOptionsT()
            options.fusedActivationFunction = self.act(operation.act)
            self.operator("ADD", inputs, made, options, "AddOptions")
        elif isinstance(operation, g.Product):
            factors = inputs if operation.constant is None else [*inputs, self.factor(operation)]
            self.operator("MUL", factors, made, schema.MulOptionsT(), "MulOptions")
        elif isinstance(operation, g.Mean):
            axes = self.constant(f"{operation.name}.axes", np.array([1, 2], np.int32), "INT32")
            options = schema.ReducerOptionsT()
            options.keepDims = True
            self.operator("MEAN", [inputs[0], axes], made, options, "ReducerOptions")
        elif isinstance(operation, g.Pool):
            self.pool(operation, inputs[0], made)
        else:
            assert isinstance(operation, g.Function)
            kind = _FUNCTIONS[operation.kind]
            union = {"HARD_SWISH": "HardSwishOptions", "GELU": "GeluOptions"}.get(kind, "")
            self.operator(
                kind, inputs, made, getattr(schema, f"{union}T")() if union else None, union
            )

    def convolution(self, operation: g.Convolution, source: int, made: int) -> None:
        source, padding = self.padded(operation, source, operation.kernel, lowest=False)
        schema = self.schema
        if operation.depthwise:
            weight, bias = self.kernel(operation, (1, 2, 3, 0), channels=3)
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = 1
            kind, union = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
        else:
            weight, bias = self.kernel(operation, (0, 2, 3, 1), channels=0)
            options = schema.Conv2DOptionsT()
            kind, union = "CONV_2D", "Conv2DOptions"
        options.padding = padding
        options.strideH = options.strideW = operation.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = self.act(operation.act)
        self.operator(kind, [source, weight, bias], made, options, union)

    def kernel(
        self, operation: g.Convolution | g.Linear, axes: tuple[int, ...], *, channels: int
    ) -> tuple[int, int]:
        """Tensors of weights and biases.

        Args:
            axes: the weights' dimensions in the file's order.
            channels: which of these is that of the outputs.
        """
        name = operation.name
        if self.network is None:
            weight = operation.weight.transpose(axes)
            return (
                self.constant(f"{name}.weight", weight, "FLOAT32"),
                self.constant(f"{name}.bias", operation.bias, "FLOAT32"),
            )
        found = self.network.kernels[name]
        sums = found.scales.astype(np.float64) * self.network.maps[operation.inputs[0]].scale
        steps = _Steps(found.scales, dimension=channels)
        return (
            self.constant(f"{name}.weight", found.weight.transpose(axes), "INT8", steps),
            self.constant(f"{name}.bias", found.bias, "INT32", _Steps(sums)),
        )

    def factor(self, operation: g.Product) -> int:
        name = f"{operation.name}.factor"
        assert operation.constant is not None
        if self.network is None:
            return self.constant(name, operation.constant.transpose(1, 2, 0)[None], "FLOAT32")
        integers, of = self.network.constants[operation.name]
        return self.constant(name, integers.transpose(1, 2, 0)[None], "INT8", _Steps(*of))

    def pool(self, operation: g.Pool, source: int, made: int) -> None:
        largest = operation.kind == "max"
        source, padding = self.padded(operation, source, operation.kernel, lowest=largest)
        options = self.schema.Pool2DOptionsT()
        options.padding = padding
        options.strideH = options.strideW = operation.stride
        options.filterHeight = options.filterWidth = operation.kernel
        kind = "MAX_POOL_2D" if largest else "AVERAGE_POOL_2D"
        self.operator(kind, [source], made, options, "Pool2DOptions")

    def padded(
        self, operation: g.Convolution | g.Pool, source: int, kernel: int, *, lowest: bool
    ) -> tuple[int, int]:
        """What an operation reads, and the padding that is left to it.

        Args:
            lowest: pad with the lowest number, not with zeros.
        """
        kinds, (name,) = self.schema.Padding, operation.inputs
        channels, *sides = self.shapes[name]
        size, around = ImageSize(*sides), operation.pads
        if not need_operation(around, size, kernel, operation.stride):
            return source, kinds.VALID if around == NO_PADS else kinds.SAME
        of = self.quantization(name)
        made = self.map(f"{operation.name}.padded", (channels, *padded_size(size, around)), of)
        pads = np.array([[0, 0], around.height, around.width, [0, 0]], np.int32)
        inputs = [source, self.constant(f"{operation.name}.pads", pads, "INT32")]
        if not lowest:
            self.operator("PAD", inputs, made, self.schema.PadOptionsT(), "PadOptions")
            return made, kinds.VALID
        name = f"{operation.name}.lowest"
        if of is None:
            least = self.constant(name, np.array([_LOWEST_FLOAT]), "FLOAT32")
        else:
            least = self.constant(name, np.array([LOWEST], np.int8), "INT8", _Steps(*of))
        self.operator("PADV2", [*inputs, least], made, self.schema.PadV2OptionsT(), "PadV2Options")
        return made, kinds.VALID

    def act(self, act: g.Act | None) -> int:
        kinds = self.schema.ActivationFunctionType
        return int({None: kinds.NONE, "relu": kinds.RELU, "relu6": kinds.RELU6}[act])

    # The whole

    def content(self, graph: g.Graph, metadata: Mapping[str, str]) -> bytes:
        import flatbuffers

        schema, model = self.schema, self.schema.ModelT()
        model.version, model.description = 3, f"autoscale {VERSION}"
        part = schema.SubGraphT()
        part.name, part.tensors, part.operators = "main", self.tensors, self.operators
        part.inputs, part.outputs = [self.read], [self.maps[graph.output.name]]
        self.tensors[part.outputs[0]].name = "logits"
        model.subgraphs = [part]
        model.operatorCodes = [self.code(kind) for kind in self.codes]
        model.metadata = [self.metadata(name, text) for name, text in metadata.items()]
        model.buffers = self.buffers
        model.signatureDefs = [self.signature(part)]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def code(self, kind: str) -> Any:
        found = self.schema.OperatorCodeT()
        found.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        found.deprecatedBuiltinCode = min(found.builtinCode, 127)
        found.version = 1 if self.network is None else _INT8_VERSIONS.get(kind, 1)
        return found

    def metadata(self, name: str, text: str) -> Any:
        self.buffers.append(self.buffer(np.frombuffer(text.encode(), np.uint8)))
        found = self.schema.MetadataT()
        found.name, found.buffer = name, len(self.buffers) - 1
        return found

    def signature(self, part: Any) -> Any:
        found = self.schema.SignatureDefT()
        found.signatureKey, found.subgraphIndex = "serving_default", 0
        found.inputs, found.outputs = self.named(part.inputs), self.named(part.outputs)
        return found

    def named(self, tensors: list[int]) -> list[Any]:
        maps = []
        for number in tensors:
            one = self.schema.TensorMapT()
            one.name, one.tensorIndex = self.tensors[number].name, number
            maps.append(one)
        return maps


def operators_of(content: bytes) -> list[str]:
    """The kinds of operators of a file of `to_litert`, as its schema names them."""
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    codes = schema.ModelT.InitFromPackedBuf(content, 0).operatorCodes
    return [names[code.builtinCode] for code in codes]


def _aligned_vector(builder: Any, data: NDArray[np.uint8]) -> int:
    """As flatbuffers' CreateNumpyVector, which knows no alignment but that of the numbers."""
    builder.StartVector(1, len(data), _ALIGNED)
    builder.head = builder.Head() - len(data)
    builder.Bytes[builder.Head() : builder.Head() + len(data)] = data.tobytes()
    return int(builder.EndVector())


def _with_files(content: bytes, files: Mapping[str, str]) -> bytes:
    """A file with a ZIP archive after it, which readers of either find."""
    whole = io.BytesIO()
    whole.write(content)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)  # of 1980: equal networks are equal files
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return whole.getvalue()
