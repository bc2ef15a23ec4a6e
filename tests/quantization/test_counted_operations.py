"""A LiteRT file has the operations that the costs flash and ram are counted of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscale.design.style import STYLES
from autoscale.design.tflite.graph import Precision, graph
from autoscale.quantization.files.litert import to_litert
from autoscale.quantization.post_training import after_training
from tests.quantization.designs import DESIGNS, RESIDUAL, small

schema = pytest.importorskip(
    "ai_edge_litert.schema_py_generated", reason="needs autoscale-cnn[litert]"
)

#: The operators of a file by the kinds that are counted.
OPERATORS = {
    "quantize": "QUANTIZE",
    "conv": "CONV_2D",
    "depthwise": "DEPTHWISE_CONV_2D",
    "fully-connected": "FULLY_CONNECTED",
    "pad": "PAD",
    "pad-lowest": "PADV2",
    "add": "ADD",
    "mul": "MUL",
    "logistic": "LOGISTIC",
    "hswish": "HARD_SWISH",
    "mean": "MEAN",
    "max-pool": "MAX_POOL_2D",
    "average-pool": "AVERAGE_POOL_2D",
}
# Without gelu, which is in LiteRT's files and not in those that are counted.
COUNTED = DESIGNS | {"residual": replace(RESIDUAL, stages=RESIDUAL.stages[:2])}
COUNTED["every channel alone"] = replace(
    RESIDUAL, stages=(replace(RESIDUAL.stages[2], groups=8, width=8, activation="relu"),)
)


def operators(content: bytes) -> list[tuple[str, int, int]]:
    """Of each operator of a file its name, the numbers that it makes, and those of its weights."""
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    file = schema.ModelT.InitFromPackedBuf(content, 0)
    (part,) = file.subgraphs
    found = []
    for one in part.operators:
        sizes = [part.tensors[number].shape.prod() for number in (*one.outputs, *one.inputs[1:2])]
        name = names[file.operatorCodes[one.opcodeIndex].builtinCode]
        weights = sizes[-1] if name.endswith(("CONV_2D", "FULLY_CONNECTED")) else 0
        found.append((name, int(sizes[0]), int(weights)))
    return found


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("style", ["autoscale", "tf"])
@pytest.mark.parametrize("name", COUNTED)
def test_a_file_has_the_operations_that_are_counted(
    name: str, style: str, precision: Precision
) -> None:
    made = small(COUNTED[name], STYLES[style], even=False)
    network = made.graph
    if precision == "int8":
        _, network = after_training(made.graph, [made.pixels])
    counted = graph(COUNTED[name], precision, STYLES[style].padding)
    assert operators(to_litert(network)) == [
        (OPERATORS[one.kind], tensor.numbers, one.weights * (one.channels > 0))
        for one, tensor in zip(counted.operations, counted.tensors[1:], strict=True)
    ]
