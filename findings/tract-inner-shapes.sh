#!/usr/bin/env bash
# tract 0.23.9 refuses to fix the batch of an ONNX model (`set_input_fact(0, "1,3,8,8,f32")`, the
# first line of its examples) when the file's optional value_info names a batch symbol for an inner
# value, as torch.onnx.export with dynamo writes it. The same file without value_info is taken, and
# ONNX Runtime 1.32.0 takes both. So shapes that ONNX calls hints decide whether tract loads a file.
# Seen 2026-11-28: the lines that this script prints. It fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tract==0.23.9 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper, numpy_helper

folder = Path(sys.argv[1])
weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
images = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)


def write(path: Path, *, inner: bool) -> Path:
    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "weight"], ["maps"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["maps"], ["out"]),
        ],
        "two layers",
        [value("images", ["batch", 3, 8, 8])],
        [value("out", ["batch", 4, 8, 8])],
        [numpy_helper.from_array(weight, "weight")],
        value_info=[value("maps", ["batch", 4, 8, 8])] if inner else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def by_tract(path: Path) -> str:
    try:
        model = tract.onnx().load(str(path))
        model.set_input_fact(0, "1,3,8,8,f32")
        (out,) = model.into_model().into_runnable().run([images])
        return f"runs, first number {float(out.to_numpy().ravel()[0]):.4f}"
    except Exception as problem:  # tract has one class for all
        return "refused: " + str(problem).strip().splitlines()[0]


for package in ("tract", "onnx", "onnxruntime"):
    print(package, version(package))
seen = {}
for inner in (True, False):
    path = write(folder / f"inner-{inner}.onnx", inner=inner)
    (expected,) = onnxruntime.InferenceSession(str(path)).run(None, {"images": images})
    seen[inner] = by_tract(path)
    print(f"value_info {inner}: ONNX Runtime {expected.ravel()[0]:.4f}; tract {seen[inner]}")
assert seen[True].startswith("refused"), "tract takes a file with inner shapes now"
assert seen[False].startswith("runs"), "tract refuses a file without inner shapes now"
PYTHON
