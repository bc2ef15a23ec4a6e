"""LiteRT files, carried out by LiteRT's own interpreter where it is installed."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
import torch

from autoscale import distribution
from autoscale.design.style import STYLES
from autoscale.errors import InvalidSetting
from autoscale.quantization.execute import run
from autoscale.quantization.files.litert import to_litert
from autoscale.quantization.files.run_litert import Interpreter
from autoscale.quantization.post_training import after_training
from autoscale.quantization.simulate import simulate
from tests.quantization.designs import DESIGNS, LITE, small

each_design = pytest.mark.parametrize("name", DESIGNS)
needs_litert = pytest.mark.skipif(
    bool(distribution.missing("litert")), reason="needs the extra litert"
)


def rows(pixels: torch.Tensor) -> np.ndarray:
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


@needs_litert
@each_design
@pytest.mark.parametrize("style", ["autoscale", "tf"])
def test_a_float_file_gives_the_graphs_logits_for_any_batch(name: str, style: str) -> None:
    made = small(DESIGNS[name], STYLES[style], even=style == "tf")
    interpreter = Interpreter(to_litert(made.graph))
    true = run(made.graph, made.pixels).numpy()
    for count in (12, 1):
        found = interpreter.run(rows(made.pixels[:count]))
        assert np.allclose(found, true[:count], atol=1e-4 * np.abs(true).max())


@needs_litert
@each_design
@pytest.mark.parametrize("style", ["autoscale", "tf"])
def test_the_simulation_gives_the_integers_of_the_reference_kernels(name: str, style: str) -> None:
    made = small(DESIGNS[name], STYLES[style], even=style == "tf")
    _, network = after_training(made.graph, [made.pixels])
    found = Interpreter(to_litert(network), kernels="reference").run(rows(made.pixels))
    steps = np.abs(simulate(network, made.pixels).numpy() - found)
    # A logistic or GELU whose value lies between two steps may fall to either.
    assert steps.max() <= 1
    assert (steps == 0).mean() > 0.85


@needs_litert
def test_an_int8_file_takes_bytes_and_its_other_kernels_answer_nearly_the_same() -> None:
    made = small(LITE)
    _, network = after_training(made.graph, [made.pixels])
    content = to_litert(network)
    answers = [Interpreter(content, kernels=one).run(rows(made.pixels)) for one in
               ("default", "own", "reference")]  # fmt: skip
    assert {one.dtype.name for one in answers} == {"int8"}
    steps = network.maps[network.graph.output.name]
    for one in answers[:2]:
        error = np.square(steps.numbers(one) - steps.numbers(answers[2])).mean()
        assert error < 0.02 * np.var(steps.numbers(answers[2]))
    (source,) = Interpreter(content).running.get_input_details()
    assert source["dtype"] is np.uint8
    assert source["shape_signature"].tolist() == [-1, 17, 17, 3]


@needs_litert
def test_a_file_holds_its_classes_where_two_lines_find_them() -> None:
    made = small(LITE)
    content = to_litert(
        made.graph, metadata={"classes": json.dumps(["a"])}, files={"labels.txt": "hat\nshirt\n"}
    )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("labels.txt").decode().split() == ["hat", "shirt"]
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (entry,) = model.metadata
    assert entry.name == b"classes"
    assert bytes(model.buffers[entry.buffer].data) == b'["a"]'
    assert content == to_litert(
        made.graph, metadata={"classes": json.dumps(["a"])}, files={"labels.txt": "hat\nshirt\n"}
    )


@needs_litert
def test_numbers_lie_where_microcontrollers_can_read_them() -> None:
    from ai_edge_litert import schema_py_generated as schema

    made = small(LITE)
    _, network = after_training(made.graph, [made.pixels])
    content = to_litert(network)
    model = schema.Model.GetRootAs(content, 0)
    held = 0
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        if buffer.DataLength():
            held += 1
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0
    assert held > 10


def test_without_the_package_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "find_spec", lambda name: None)
    with pytest.raises(InvalidSetting, match=r"needs ai_edge_litert: .*\[litert\]"):
        to_litert(small(LITE).graph)
