"""Networks whose images are no squares, from the file of weights to count, card and time."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from torch import Tensor, nn

from autoscale.aspect import SQUARE, ImageSize
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.cost import cost
from autoscale.devices.timing.latency import measure_latency
from autoscale.errors import InvalidSetting
from autoscale.models.count import count
from autoscale.models.export import export
from autoscale.models.formats.check import onnx_content
from autoscale.models.formats.timm import hub_config
from autoscale.models.input_spec import metadata, preparation_data
from autoscale.models.load import load_model
from tests.models.networks import saved, small


class OnlyWide(nn.Module):
    """Takes images of 24 x 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 24 * 32, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x.flatten(1))
        return y


WIDE = replace(small(), aspect=Fraction(4, 3))  # 24 x 32
PREPARED = Preparation(aspect=Fraction(4, 3))


def test_the_design_decides_and_the_preparation_follows(tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text(WIDE.to_yaml(), encoding="utf-8")
    model = load_model(tmp_path / "wide.yaml", weights=str(saved(tmp_path, small())))
    assert model.image_size == ImageSize(24, 32)
    assert model.preparation.aspect == model.aspect == Fraction(4, 3)


def test_an_aspect_that_is_asked_for_replaces_the_weights_own(tmp_path: Path) -> None:
    file = saved(tmp_path, WIDE, preparation=PREPARED, accuracy=0.5, accuracy_of="images")
    assert load_model(file).notes == ()
    square = load_model(file, aspect=SQUARE)
    assert square.image_size == ImageSize(24, 24)
    (note,) = square.notes
    assert "aspect 1/1, and not as" in note
    export(square, tmp_path / "out", formats=["safetensors"])
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "0.5000 of images was measured at 24 x 32 pixels." in card


def test_a_count_is_of_the_aspect_that_is_asked_for_and_fvcore_agrees() -> None:
    found = count(small(), aspect=Fraction(4, 3))
    assert found.cost == cost(WIDE) == count(WIDE).cost
    assert found.image_size == ImageSize(24, 32)
    assert all(line.explained for line in found.check)
    assert count(WIDE, aspect=SQUARE).cost == cost(small())


def test_programs_are_told_height_and_width(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = load_model(saved(tmp_path, WIDE, preparation=PREPARED))
    graph = onnx.load_from_string(onnx_content(model))
    told = {one.key: one.value for one in graph.metadata_props}
    assert (json.loads(told["resolution"]), json.loads(told["width"])) == (24, 32)
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in shape[1:]] == [3, 24, 32]
    assert json.loads(told["preparation"])["size"] == [24, 32]
    assert json.loads(hub_config(model, num_classes=3))["pretrained_cfg"]["input_size"] == [
        3, 24, 32,
    ]  # fmt: skip


def test_of_squares_programs_are_told_what_they_always_were() -> None:
    told = metadata(Preparation(), 24, None, None)
    assert "width" not in told
    data = preparation_data(Preparation(), 24)
    assert data["size"] == 24
    assert "aspect" not in data


def test_a_rectangle_is_timed_at_its_own_shape() -> None:
    found = measure_latency(WIDE, repeats=5)
    assert found.resolution == 24
    with pytest.raises(InvalidSetting, match=r"images of shape \(1, 3, 24, 12\)"):
        measure_latency(OnlyWide(), resolution=24, aspect=Fraction(1, 2), repeats=5)
    assert measure_latency(OnlyWide(), resolution=24, aspect=Fraction(4, 3), repeats=5)
