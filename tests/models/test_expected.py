"""What weights expect is known, given, or said: never guessed in silence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.design.published import published
from autoscale.design.style import STYLES, Style
from autoscale.errors import InvalidSetting
from autoscale.models.expected import Expected, expected_by, rows_kept
from autoscale.models.settings import PreparationSettings, channels
from autoscale.network.build import build
from autoscale.network.naming import lukemelas_names, resnet_names
from autoscale.network.weights import to_timm
from autoscale.runs.sources.releases import HALF, IMAGENET_DEVIATION, IMAGENET_MEAN
from autoscale.runs.weights import Header, Weights

with torch.device("meta"):
    LITE = build(replace(published("efficientnet-lite0"), num_classes=2)).state_dict()
    RESNET = build(replace(published("resnet-18"), num_classes=2)).state_dict()
TIMM = to_timm(LITE)
LUKEMELAS = {lukemelas_names(LITE)[name]: value for name, value in LITE.items()}
TORCHVISION = {resnet_names(RESNET)[name]: value for name, value in RESNET.items()}
BICUBIC = Preparation(mean=HALF, deviation=HALF, interpolation="bicubic")


def expected(
    state: dict[str, torch.Tensor],
    file: str | Path = "last.pth",
    *,
    header: Header | None = None,
    network: str = "photos.yaml",
    **asked: object,
) -> Expected:
    held = Weights(state=state, header=header or Header())
    return expected_by(held, str(file), network=network, asked=PreparationSettings(**asked))  # type: ignore[arg-type]


def test_without_weights_a_network_is_autoscales_own_unless_asked() -> None:
    assert expected_by(None, None, network="b0", asked=PreparationSettings()) == Expected(
        style=Style(), preparation=OURS
    )
    asked = PreparationSettings(style="tf", mean=HALF, interpolation="bicubic", white_level=4095)
    found = expected_by(None, None, network="b0", asked=asked)
    assert found.style == STYLES["tf"]
    assert found.preparation == replace(OURS, mean=HALF, interpolation="bicubic", white_level=4095)


def test_our_own_weights_expect_what_ours_always_expected() -> None:
    assert expected(LITE) == Expected(style=Style(), preparation=OURS)


def test_a_header_is_believed_before_names_and_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"mean": [0.1] * 3, "std": [0.1] * 3}))
    said = Preparation(mean=(0.4, 0.5, 0.6), interpolation="bicubic")
    header = Header(style=STYLES["tf"], preparation=said, classes=("a", "b"))
    found = expected(TIMM, tmp_path / "tf_efficientnet_lite0.pth", header=header)
    assert found == Expected(style=STYLES["tf"], preparation=said, classes=("a", "b"))


def test_what_is_asked_goes_before_the_header_and_is_said() -> None:
    header = Header(style=STYLES["tf"], preparation=BICUBIC)
    found = expected(TIMM, header=header, deviation=(0.25, 0.25, 0.25))
    assert found.preparation == replace(BICUBIC, deviation=(0.25, 0.25, 0.25))
    (note,) = found.notes
    assert "prepared as asked, mean 0.5, 0.5, 0.5, deviation 0.25, 0.25, 0.25" in note
    assert expected(TIMM, header=header, mean=HALF).notes == ()  # what it says anyway


def test_another_style_than_the_headers_is_said() -> None:
    header = Header(style=STYLES["tf"], preparation=OURS)
    (note,) = expected(LITE, header=header, style="timm").notes
    assert "built as asked, symmetric padding and epsilon 1e-05, and not as last.pth says" in note
    assert expected(LITE, header=header, style="tf").notes == ()


def test_names_that_no_file_can_hold_are_escaped() -> None:
    assert expected(LITE, header=Header(classes=("\udcff", "é"))).classes == ("\\udcff", "é")


def test_logits_of_one_name_are_told() -> None:
    (note,) = expected(LITE, header=Header(classes=("crane", "crane"))).notes
    assert note.startswith("several logits have the same name (crane)")
    assert rows_kept(("crane", "crane"), 2, ["crane", "heron"])[0] == (0, None)


def test_a_module_of_ones_own_needs_no_style_whatever_its_names() -> None:
    held = Weights(state=TIMM, header=Header())
    asked = PreparationSettings(mean=HALF, deviation=HALF)
    found = expected_by(held, "own.pth", network="own:net", asked=asked, designed=False)
    assert found.notes == ()


def test_timms_config_beside_the_file_says_everything(tmp_path: Path) -> None:
    inner = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop_pct": 0.875}
    config = {"architecture": "tf_efficientnet_lite0", "pretrained_cfg": inner}
    (tmp_path / "config.json").write_text(json.dumps(config | {"label_names": ["cat", "dog"]}))
    found = expected(TIMM, tmp_path / "efficientnet_b0_ra-3dd342df.pth")
    assert (found.style, found.preparation) == (STYLES["tf"], BICUBIC)
    assert found.classes == ("cat", "dog")
    assert any(
        note.startswith("pictures are prepared as config.json beside it") for note in found.notes
    )
    assert any("inner 0.875" in note for note in found.notes)
    config["label_names"] = ["cat", "dog", "cow"]  # another file's
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert expected(TIMM, tmp_path / "last.pth").classes is None


def test_names_of_files_and_networks_tell_and_are_told() -> None:
    found = expected(TIMM, "tf_efficientnet_lite0-0aa007d2.pth")
    assert (found.style, found.preparation) == (STYLES["tf"], BICUBIC)
    assert "as the name tf_efficientnet_lite0 says" in found.notes[0]
    found = expected(LUKEMELAS, network="efficientnet-lite0")
    assert (found.style, found.preparation) == (STYLES["tf"], BICUBIC)
    assert found.notes


def test_timms_names_alone_ask_for_a_style() -> None:
    with pytest.raises(InvalidSetting, match=r"add --style tf .* or --style timm"):
        expected(TIMM)


@pytest.mark.parametrize(
    ("state", "style"), [(TIMM, "tf"), (TIMM, "timm"), (LUKEMELAS, None), (TORCHVISION, None)]
)
def test_where_nobody_knows_imagenets_pixels_are_taken_aloud(
    state: dict[str, torch.Tensor], style: str | None
) -> None:
    found = expected(state, style=style)
    assert found.preparation == Preparation(mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION)
    (note,) = found.notes
    assert "does not say what pixels its weights expect; ImageNet's are taken" in note
    assert "--mean, --deviation and --interpolation" in note
    assert expected(state, style=style, mean=HALF, deviation=HALF).notes == ()
    with pytest.raises(InvalidSetting, match="give both --mean and --deviation"):
        expected(state, style=style, mean=HALF)


def test_our_weights_under_timms_names_are_ours_when_asked_so() -> None:
    found = expected(TIMM, style="autoscale")
    assert (found.style, found.preparation) == (Style(), OURS)
    assert found.notes


def test_weights_of_a_module_that_nobody_knows_are_said_to_be_unknown() -> None:
    assert "does not say what pixels" in expected({"layer.weight": torch.ones(2)}).notes[0]


def test_a_header_with_more_names_than_rows_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="names 3 classes and tells 2 apart"):
        expected(LITE, header=Header(classes=("a", "b", "c")))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"style": "keras"}, "no style 'keras'; choose from autoscale, timm, tf"),
        ({"mean": (123.675, 116.28, 103.53)}, "divide those of 0..255 by 255"),
        ({"deviation": (0.0, 0.1, 0.1)}, "deviation must be above 0"),
        ({"mean": (float("nan"),) * 3}, "mean must lie in 0..1"),
        ({"interpolation": "lanczos"}, "no interpolation 'lanczos'; choose from bilinear, bicubic"),
        ({"white_level": 0}, "white_level must lie in 1..65535"),
    ],
)
def test_what_no_picture_can_be_prepared_by_is_refused(
    asked: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidSetting, match=message):
        expected(LITE, **asked)


def test_channels_are_three_numbers_or_one_for_all() -> None:
    assert channels("0.485,0.456, 0.406", option="--mean") == (0.485, 0.456, 0.406)
    assert channels("0.5", option="--mean") == (0.5, 0.5, 0.5)
    assert channels("0.1,0.2,0.3,0.4", option="--mean") == (0.1, 0.2, 0.3, 0.4)  # of bands
    for text in ("", "red", "0.5,red", ",".join(["0.1"] * 33)):
        with pytest.raises(InvalidSetting, match="--deviation must be 3 numbers"):
            channels(text, option="--deviation")


@pytest.mark.parametrize(
    ("held", "count", "classes", "rows", "said"),
    [
        (("a", "b"), 2, ("a", "b"), None, None),
        (("a", "b"), 2, ("b", "a"), (1, 0), "b, a keep what the classifier knows of them"),
        (("a", "b"), 2, ("c", "d"), (None, None), "know other classes (a, b); the classifier is n"),
        (("a", "b", "c"), 3, ("c", "d"), (2, None), "c keeps .*; new .*: d; no longer .*: a, b"),
        (("a",), 1, ("a", "b"), (0, None), "a keeps .*; new and to be trained: b"),
        (None, 2, ("a", "b"), None, "do not name their 2 classes: .* in the data's order, a, b"),
        (None, 2, ("a", "b", "c"), None, None),  # loading says it
        (None, None, ("a", "b"), (None, None), "the weights have no classifier"),
    ],
)
def test_rows_of_a_classifier_follow_names(
    held: tuple[str, ...] | None,
    count: int | None,
    classes: tuple[str, ...],
    rows: tuple[int | None, ...] | None,
    said: str | None,
) -> None:
    import re

    found, note = rows_kept(held, count, classes)
    assert found == rows
    assert (note is None) == (said is None)
    if said is not None and note is not None:
        assert re.search(said.replace("(", r"\(").replace(")", r"\)"), note)
