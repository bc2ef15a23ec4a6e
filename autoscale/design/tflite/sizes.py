"""Bytes of a file, and bytes that an interpreter keeps for itself.

Both are estimates that were fitted to files and to an interpreter: `experiments/boards` says how
near they come.
"""

from collections.abc import Mapping

from autoscale.design.tflite.arena import aligned
from autoscale.design.tflite.graph import Precision
from autoscale.design.tflite.operations import Graph, Kind, Operation

#: Bytes of a number.
NUMBER: Mapping[Precision, int] = {"int8": 1, "float32": 4}

#: Constants of each operation: weights and biases, axes, what is padded.
CONSTANTS: Mapping[Kind, int] = {
    "quantize": 0,
    "conv": 2,
    "depthwise": 2,
    "fully-connected": 2,
    "pad": 1,
    "pad-lowest": 2,
    "mean": 1,
    "add": 0,
    "mul": 0,
    "logistic": 0,
    "hswish": 0,
    "max-pool": 0,
    "average-pool": 0,
}

# The file. FlatBuffers: tables of offsets, names, shapes, scales.

#: Bytes of a tensor's entry and of its buffer's, and of an operation's.
_TENSOR, _OPERATION = 136, 64
#: Bytes of a channel's bias, and of the scales and zero points of its weights and bias.
_BIAS, _SCALES = 4, 24


def file_bytes(graph: Graph, precision: Precision) -> int:
    """Bytes of the operations of a graph in a file; `FILE` comes on top once."""
    number, total = NUMBER[precision], 0
    scales = _SCALES if precision == "int8" else 0
    for operation in graph.operations:
        total += _OPERATION + _TENSOR * (1 + constants(operation))
        total += aligned(operation.weights * number) + operation.channels * _BIAS
        if operation.kind != "fully-connected":  # which has one scale for all
            total += operation.channels * scales
    return total


#: Bytes of a file whatever stands in it.
FILE = 1100

# The interpreter's own. Structures of 32-bit processors: a tensor is two pointers and a type, an
# operation eight words. What the operations keep was fitted on a 64-bit processor, where pointers
# are twice as long, so that it is rather too much.

#: Bytes that the interpreter keeps for a tensor and for an operation.
_EVAL_TENSOR, _NODE = 12, 32
#: Bytes that it keeps for an operation of each kind besides, and for each channel of a convolution.
_OWN: Mapping[Kind, int] = {
    "quantize": 108,
    "conv": 116,
    "depthwise": 104,
    "fully-connected": 96,
    "pad": 64,
    "pad-lowest": 76,
    "add": 76,
    "mul": 40,
    "logistic": 40,
    "hswish": 36,
    "mean": 88,
    "max-pool": 76,
    "average-pool": 76,
}
_CHANNEL = 8
#: Bytes that it keeps whatever it runs.
INTERPRETER = 720
#: Bytes that planning the arena takes for a tensor and for a buffer, before anything runs.
_INFO, _REQUEST = 24, 40


def kept_bytes(graph: Graph) -> int:
    """Bytes that the interpreter keeps for the operations of a graph, besides the activations;
    `INTERPRETER` comes on top once."""
    total = 0
    for operation in graph.operations:
        tensors = 1 + constants(operation)
        total += _EVAL_TENSOR * tensors + _NODE + _OWN[operation.kind]
        if operation.kind in ("conv", "depthwise"):
            total += _CHANNEL * operation.channels
    return total


def planning_bytes(graph: Graph, buffers: int) -> int:
    """Bytes that planning takes where the activations lie afterwards."""
    tensors = 1 + sum(1 + constants(operation) for operation in graph.operations)
    scratch = buffers - len(graph.tensors)
    return _INFO * (tensors + scratch) + _REQUEST * buffers


def constants(operation: Operation) -> int:
    """Constant tensors that an operation reads."""
    factor = operation.kind == "mul" and operation.weights > 0
    return CONSTANTS[operation.kind] + factor
