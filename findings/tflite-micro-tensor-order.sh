#!/usr/bin/env bash
# TensorFlow Lite Micro (tflite-micro 0.dev20261023182759) needs half as much memory again for the same
# network when two tensors change places in the file's list. Three RELU of 1,024 bytes and a pooling
# need 2,048 bytes of activations as a converter writes them, 3,072 with the input's tensor second;
# operations, their order and every output are the same. Its planner places buffers of one size in the
# order of their indices, so a tensor's number decides the arena of a device, and a size that was
# measured with one converter does not hold for the file of another.
# Seen 2026-11-29: the lines that this script prints. It fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tflite-micro==0.dev20261023182759 flatbuffers==25.12.19 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import os
import re
import tempfile
from importlib.metadata import version

import flatbuffers
import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

SHAPES = [(1, 8, 8, 4)] * 4 + [(1, 4, 4, 4)]
OPERATIONS = ["RELU", "RELU", "RELU", "MAX_POOL_2D"]  # each of the tensor before it


def file_of(order):
    """The network with its tensors listed in this order."""
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = [], []
    for number in order:
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(SHAPES[number]), schema.TensorType.FLOAT32
        tensor.buffer, tensor.name = 0, f"t{number}"
        subgraph.tensors.append(tensor)
    kinds = list(dict.fromkeys(OPERATIONS))
    for number, kind in enumerate(OPERATIONS):
        operator = schema.OperatorT()
        operator.opcodeIndex = kinds.index(kind)
        operator.inputs, operator.outputs = [order.index(number)], [order.index(number + 1)]
        if kind == "MAX_POOL_2D":
            pool = schema.Pool2DOptionsT()
            pool.strideW = pool.strideH = pool.filterWidth = pool.filterHeight = 2
            pool.padding = schema.Padding.VALID
            operator.builtinOptions = pool
            operator.builtinOptionsType = schema.BuiltinOptions.Pool2DOptions
        subgraph.operators.append(operator)
    subgraph.inputs, subgraph.outputs = [order.index(0)], [order.index(4)]
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [subgraph], [schema.BufferT()]
    model.operatorCodes = []
    for kind in kinds:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
        code.version = 1
        model.operatorCodes.append(code)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def run(file):
    """Bytes of activations that the interpreter planned, and the answer."""
    interpreter = runtime.Interpreter.from_bytes(file, arena_size=1 << 20)
    numbers = np.random.default_rng(0).normal(size=SHAPES[0]).astype(np.float32)
    interpreter.set_input(numbers, 0)
    interpreter.invoke()
    with tempfile.TemporaryFile() as kept:  # it tells on the process's standard error
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        interpreter.print_allocations()
        os.dup2(before, 2)
        kept.seek(0)
        told = kept.read().decode()
    return int(re.search(r"allocation head (\d+)", told)[1]), interpreter.get_output(0)


print("tflite-micro", version("tflite-micro"))
answers = []
for order, expected in ([0, 1, 2, 3, 4], 2048), ([1, 0, 2, 3, 4], 3072):
    planned, answer = run(file_of(order))
    answers.append(answer)
    print("tensors listed as", order, "need", planned, "bytes of activations")
    assert planned == expected
assert np.array_equal(*answers)
print("the answers are the same")
PYTHON
