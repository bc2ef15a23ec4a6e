#!/usr/bin/env bash
# ONNX Runtime 1.32.0 computes a quantised sum or product in floats if a scale is a tensor of one
# dimension with one number in it, instead of a tensor without dimensions. The ONNX checker takes
# both and both give the same answers, so nothing but the time tells; convolutions and activations
# are fused into integer operations either way. numpy.ascontiguousarray makes such a tensor out of a
# scalar without a word.
# Seen 2026-11-29: the lines that this script prints. It fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

folder = Path(sys.argv[1])
images = np.random.default_rng(0).uniform(-3, 3, size=(1, 8)).astype(np.float32)


def content(shape: tuple[int, ...]) -> bytes:
    """A map added to itself, quantised before and after; its scale has this shape."""
    numbers = [
        numpy_helper.from_array(np.full(shape, 0.1, np.float32), "scale"),
        numpy_helper.from_array(np.full(shape, 128, np.uint8), "zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["steps"]),
        helper.make_node("DequantizeLinear", ["steps", "scale", "zero"], ["map"]),
        helper.make_node("Add", ["map", "map"], ["sum"]),
        helper.make_node("QuantizeLinear", ["sum", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["out"]),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8])]
        for name in ("images", "out")
    )
    graph = helper.make_graph(nodes, "a sum", inputs, outputs, numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


seen, answers = {}, {}
for shape in ((), (1,)):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    session = onnxruntime.InferenceSession(
        content(shape), options, providers=["CPUExecutionProvider"]
    )
    (answers[shape],) = session.run(None, {"images": images})
    nodes = onnx.load(folder / "optimised.onnx").graph.node
    seen[shape] = [node.op_type for node in nodes]
    print(f"scale of shape {shape}: {', '.join(seen[shape])}")
assert np.array_equal(answers[()], answers[1,]), "the answers differ now"
assert "QLinearAdd" in seen[()], "a scale without dimensions is no longer fused"
assert "Add" in seen[1,], "a scale of one dimension is fused now"
PYTHON
