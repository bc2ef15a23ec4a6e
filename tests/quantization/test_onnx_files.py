"""ONNX files of graphs: the graph's answers, and integers wherever ONNX Runtime has them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from autoscale import distribution
from autoscale.design.style import STYLES
from autoscale.errors import InvalidSetting
from autoscale.network.interchange.onnx import onnx_session
from autoscale.quantization.execute import run
from autoscale.quantization.files.onnx import to_onnx
from autoscale.quantization.post_training import after_training
from autoscale.quantization.simulate import simulate
from tests.quantization.designs import DESIGNS, INVERTED, LITE, small

each_design = pytest.mark.parametrize("name", DESIGNS)
needs_onnx = pytest.mark.skipif(
    bool(distribution.missing("export")), reason="needs the extra export"
)


@needs_onnx
@each_design
@pytest.mark.parametrize("style", ["autoscale", "tf"])
def test_a_float_file_gives_the_graphs_logits_for_any_batch(name: str, style: str) -> None:
    made = small(DESIGNS[name], STYLES[style], even=style == "tf")
    session = onnx_session(to_onnx(made.graph))
    true = run(made.graph, made.pixels).numpy()
    for count in (12, 1):
        (found,) = session.run(None, {"images": made.images[:count].numpy()})
        assert np.allclose(found, true[:count], atol=1e-4 * np.abs(true).max())


@needs_onnx
@each_design
def test_an_int8_file_stands_for_the_integers_of_the_graph(name: str) -> None:
    from onnx import load_from_string
    from onnx.reference import ReferenceEvaluator

    made = small(DESIGNS[name])
    _, network = after_training(made.graph, [made.pixels])
    file = load_from_string(to_onnx(network))
    (found,) = ReferenceEvaluator(file).run(None, {"images": made.images[:3].numpy()})
    of = network.maps[network.graph.output.name]
    steps = of.integers(found) - simulate(network, made.pixels[:3]).numpy()
    # It computes with floats between one map and the next, and each rounding may differ: of 256.
    assert np.abs(steps).max() <= 20
    assert np.abs(steps).mean() < 8


@needs_onnx
def test_an_int8_file_is_refused_where_channels_are_normalised_each_in_its_way() -> None:
    made = small(LITE, even=False)
    _, network = after_training(made.graph, [made.pixels])
    with pytest.raises(InvalidSetting, match="one mean and one deviation for all channels"):
        to_onnx(network)


@needs_onnx
@pytest.mark.parametrize("design", [LITE, INVERTED], ids=["relu6", "silu"])
def test_onnx_runtime_computes_with_integers_alone(design: object, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    made = small(design)  # type: ignore[arg-type]
    _, network = after_training(made.graph, [made.pixels])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(to_onnx(network), options, providers=["CPUExecutionProvider"])
    ran = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert ran["QLinearConv"] == sum(hasattr(one, "groups") for one in network.graph.operations)
    in_float = {"Conv", "FusedConv", "Gemm", "Add", "Mul", "Clip", "Relu", "Sigmoid"} & {*ran}
    assert in_float == set()


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = small(LITE)
    monkeypatch.setattr(distribution, "find_spec", lambda name: None)
    with pytest.raises(InvalidSetting, match=r"autoscale-cnn\[export\]"):
        to_onnx(made.graph)
