"""The written module is the network: same names, same numbers, for every design."""

import ast
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.network.build import build
from autoscale.network.interchange.python_source import python_source, timm_source
from autoscale.network.weights import STYLES
from tests.strategies import architectures


def written(design: Architecture, style: str = "autoscale", **options: Any) -> dict[str, Any]:
    source = python_source(
        design, STYLES[style], name="n", weights="w", mean=(0.5,) * 3, deviation=(0.25,) * 3,
        **options,
    )  # fmt: skip
    module: dict[str, Any] = {"__file__": "network.py", "__name__": "network"}
    exec(compile(source, "network.py", "exec"), module)
    return module


@settings(max_examples=40, deadline=None)
@given(design=architectures(), style=st.sampled_from(sorted(STYLES)))
def test_the_written_network_has_our_names_and_gives_our_logits(
    design: Architecture, style: str
) -> None:
    network = build(design, **STYLES[style].options).eval()
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point() and value.ndim == 1:  # norms that do something
                value.uniform_(0.1, 0.9)
    copy = written(design, style)["Network"]().eval()
    copy.load_state_dict(network.state_dict())
    assert list(copy.state_dict()) == list(network.state_dict())
    images = torch.rand(2, design.channels, *design.image_size)
    with torch.no_grad():
        assert torch.equal(copy(images), network(images))


def test_only_what_a_design_uses_is_written() -> None:
    source = python_source(
        published("resnet-18"), STYLES["autoscale"], name="resnet-18", weights="w",
        mean=(0.5,) * 3, deviation=(0.25,) * 3,
    )  # fmt: skip
    tree = ast.parse(source)
    names = {n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    assert names == {
        "activation", "ConvNormAct", "DropPath", "Residual", "Network", "load",
    }  # fmt: skip
    assert "autoscale" not in source.split('"""')[2]


def test_facts_about_the_network_are_values_of_the_module() -> None:
    module = written(published("efficientnet-b0"), classes=['a"b', "<script>", "it's\n"])
    assert module["CLASSES"] == ('a"b', "<script>", "it's\n")
    assert module["RESOLUTION"] == 224
    assert (module["MEAN"], module["DEVIATION"]) == ((0.5,) * 3, (0.25,) * 3)


def test_a_name_cannot_smuggle_code_in() -> None:
    source = python_source(
        published("resnet-18"), STYLES["autoscale"], name='"""\nimport os\n"""', weights='"x',
        mean=(0.5,) * 3, deviation=(0.25,) * 3,
    )  # fmt: skip
    assert "import os" not in source
    compile(source, "network.py", "exec")


@pytest.mark.parametrize(("style", "padding"), [("tf", "same"), ("timm", "")])
def test_the_module_for_timm_names_what_the_weights_expect(style: str, padding: str) -> None:
    source = timm_source(published("efficientnet-b0"), STYLES[style], weights="t.safetensors")
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    (made,) = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "EfficientNet"]
    values = {k.arg: k.value.value for k in made.keywords if isinstance(k.value, ast.Constant)}
    assert values["pad_type"] == padding
    assert (values["stem_size"], values["num_features"]) == (32, 1280)
    assert f"eps={STYLES[style].norm_eps!r}" in source
