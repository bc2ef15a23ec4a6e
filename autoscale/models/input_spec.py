"""What a network expects of pictures and what its logits are called, for programs of others.

The same facts go into the model card as words, beside the files as JSON and text, and into the
formats that hold text of their own.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from autoscale.answering.answering import NONE, Answering
from autoscale.aspect import SQUARE, ImageSize
from autoscale.datasets.pictures.framing import BESIDE
from autoscale.datasets.pictures.preparation import Area, Preparation, in_bands
from autoscale.distribution import VERSION

PREPARATION = "preparation.json"
LABELS = "labels.txt"
ANSWERING = "answering.json"
#: What is seen where a picture is transparent: red, green, blue of 0..255.
BACKGROUND = (255, 255, 255)
#: What ends a line for some program; Python's `str.splitlines` knows all of them.
_LINE_BREAK = re.compile("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
#: timm's name of each area, which it rounds to whole pixels.
TIMM_CROPS: Mapping[Area, str] = {
    "centre-square": "center",
    "padded": "border",
    "squashed": "squash",
}


def preparation_data(preparation: Preparation, size: int) -> dict[str, Any]:
    """Everything done to a picture, as plain data; `steps` says the same in words.

    Args:
        size: pixels of the height of the network's input; its width is by the preparation's aspect.
    """
    channels = preparation.channels
    beside = {"beside": [BESIDE] * channels} if preparation.area == "padded" else {}
    if in_bands(channels):
        order: dict[str, Any] = {"channel_order": list(range(1, channels + 1))}
    else:
        order = {
            "exif_orientation": "applied",
            "background": list(BACKGROUND),
            "channel_order": "RGB" if channels == 3 else "L",
        }
    return {
        "size": size if preparation.aspect == SQUARE else [*preparation.image_size(size)],
        **order,
        **preparation.to_dict(),
        **beside,
        "antialias": True,
        "scale": 1 / 255,
        "layout": "NCHW",
        "dtype": "float32",
        "steps": preparation_steps(preparation, size),
    }


def preparation_steps(preparation: Preparation, size: int) -> list[str]:
    """Everything done to a picture, as sentences in order."""
    if in_bands(preparation.channels):
        return [*_from_array(preparation), *_resized(preparation, size)]
    return [*_from_picture(preparation), *_resized(preparation, size)]


def _from_picture(preparation: Preparation) -> list[str]:
    return [
        "Take the picture as it is stored, without its colour profile; of an animation the first "
        "frame.",
        "Turn it upright as its EXIF orientation says, mirrored ones too.",
        _sixteen_bits(preparation.white_level),
        f"Where it is transparent, lay it on white {BACKGROUND}.",
        _colours(preparation.channels),
    ]


def _from_array(preparation: Preparation) -> list[str]:
    channels = preparation.channels
    return [
        f"Take the array as it is stored, (H, W, {channels}) or ({channels}, H, W), of uint8 or "
        "uint16: bands in their order.",
        "If it has 16 bits, v becomes the whole number nearest to "
        f"255 v / {preparation.white_level:,}, and 255 where v is above "
        f"{preparation.white_level:,}.",
    ]


def _resized(preparation: Preparation, size: int) -> list[str]:
    shape = preparation.image_size(size)
    return [
        *(_to_square if shape.height == shape.width else _to_rectangle)(preparation, shape),
        f"Pixels in 0..1 (divided by 255), minus mean {row(preparation.mean)}, divided by "
        f"{row(preparation.deviation)} ({names_of_channels(preparation.channels)}).",
        f"As float32 of shape (N, {preparation.channels}, {shape.height}, {shape.width}).",
    ]


def _filtered(preparation: Preparation) -> tuple[str, str]:
    """How a picture is resized, and what Pillow calls the filter."""
    told = (
        f"{preparation.interpolation} with antialiasing (the filter grows with the reduction), and "
        "round to 0..255. In Pillow: image.resize("
    )
    return told, f"Image.Resampling.{preparation.interpolation.upper()}"


def _each(preparation: Preparation) -> str:
    return ", each band for itself" if in_bands(preparation.channels) else ""


def _to_square(preparation: Preparation, shape: ImageSize) -> list[str]:
    size, each = shape.height, _each(preparation)
    filtered, resampling = _filtered(preparation)
    square = f"({size}, {size}), {resampling}"
    match preparation.area:
        case "centre-square":
            return [
                "Cut out the largest square in the middle: of the shorter side, from "
                "(width - side) / 2 and (height - side) / 2, halves of a pixel not rounded.",
                f"Resize the square to {size} x {size} pixels{each}, {filtered}{square}, "
                "box=(left, top, left + side, top + side)).",
            ]
        case "padded":
            return [
                f"Resize all of it so that the longer side has {size} pixels and the other "
                f"max(1, floor({size} shorter / longer + 1/2)){each}, {filtered}(w, h), "
                f"{resampling}).",
                f"Lay it in the middle of {size} x {size} pixels of {BESIDE} in every channel, its "
                f"left at floor(({size} - w) / 2) and its top at floor(({size} - h) / 2).",
            ]
        case "squashed":
            return [
                f"Resize all of it to {size} x {size} pixels{each}, each side by its own factor, "
                f"{filtered}{square})."
            ]


def _to_rectangle(preparation: Preparation, shape: ImageSize) -> list[str]:
    (high, wide), each = shape, _each(preparation)
    filtered, resampling = _filtered(preparation)
    whole = f"({wide}, {high}), {resampling}"
    pixels = f"{wide} pixels of width and {high} of height"
    match preparation.area:
        case "centre-square":
            return [
                f"Cut out the largest part in the middle whose width is {wide} / {high} of its "
                f"height: w = min(width, height {wide} / {high}) and h = min(height, width {high} "
                f"/ {wide}), from left = (width - w) / 2 and top = (height - h) / 2, parts of a "
                "pixel not rounded.",
                f"Resize it to {pixels}{each}, {filtered}{whole}, box=(left, top, left + w, "
                "top + h)).",
            ]
        case "padded":
            return [
                f"Resize all of it to w and h pixels{each}: where width / height is above {wide} / "
                f"{high}, w = {wide} and h = max(1, floor({wide} height / width + 1/2)), else h = "
                f"{high} and w = max(1, floor({high} width / height + 1/2)); {filtered}(w, h), "
                f"{resampling}).",
                f"Lay it in the middle of {pixels}, all {BESIDE} in every channel, its left at "
                f"floor(({wide} - w) / 2) and its top at floor(({high} - h) / 2).",
            ]
        case "squashed":
            return [
                f"Resize all of it to {pixels}{each}, each side by its own factor, "
                f"{filtered}{whole})."
            ]


def names_of_channels(channels: int) -> str:
    """What the channels of an image show, in order."""
    if in_bands(channels):
        return f"bands 1 to {channels}"
    return "red, green, blue" if channels == 3 else "grey"


def _colours(channels: int) -> str:
    rgb = "Make it RGB, red first: grey stands in all three channels, a palette is looked up"
    if channels == 3:
        return f"{rgb}."
    return (
        f"{rgb}. Then make it grey by the luma of ITU-R BT.601, (19595 R + 38470 G + 7471 B + "
        '32768) // 65536, which Pillow calls image.convert("L").'
    )


def _sixteen_bits(white: int) -> str:
    if white == 65535:
        return (
            "If it has 16 bits a channel, grey v becomes the whole number nearest to "
            "255 v / 65,535, of colours v the high byte v // 256 is taken."
        )
    return (
        "If it has 16 bits a channel, grey and colours v become the whole number nearest to "
        f"255 v / {white:,}, and 255 where v is above {white:,}."
    )


def preparation_text(preparation: Preparation, size: int) -> str:
    """The text of `preparation.json`."""
    return json.dumps(preparation_data(preparation, size), indent=2) + "\n"


def labels_text(classes: Sequence[str]) -> str:
    """The text of `labels.txt`: a name a line, in the order of the logits.

    If a name holds a line break, then in all names these are written as escapes (`\\n`), and
    backslashes are doubled. Half of a surrogate pair, which UTF-8 cannot write, is an escape too.
    """
    names: Sequence[str] = classes
    if escaped(classes):
        names = [_LINE_BREAK.sub(_escape, name.replace("\\", "\\\\")) for name in classes]
    return "".join(f"{writable(name)}\n" for name in names)


def escaped(classes: Sequence[str]) -> bool:
    """Whether `labels_text` writes names with escapes."""
    return any(_LINE_BREAK.search(name) for name in classes)


def answering_data(answering: Answering) -> dict[str, Any]:
    """How logits become an answer, as plain data; `steps` says the same in words."""
    none = {} if answering.none_below is None else {"none": NONE}
    return {**answering.to_dict(), **none, "steps": list(answering.steps)}


def answer_metadata(classes: Sequence[str] | None, answering: Answering | None) -> dict[str, str]:
    """What logits mean, JSON by name, as far as it is known."""
    known = {"classes": json.dumps(list(classes))} if classes is not None else {}
    if answering is not None:
        known["answering"] = json.dumps(answering_data(answering))
    return known


def metadata(
    preparation: Preparation,
    size: int,
    classes: Sequence[str] | None,
    answering: Answering | None,
) -> dict[str, str]:
    """Text by name, for formats that hold such; all but `producer` are JSON.

    `resolution` is the height of the images; where they are no squares, `width` is their width.
    """
    height, width = preparation.image_size(size)
    wide = {} if width == height else {"width": json.dumps(width)}
    return {
        **answer_metadata(classes, answering),
        "preparation": json.dumps(preparation_data(preparation, size)),
        "resolution": json.dumps(size),
        **wide,
        "mean": json.dumps(list(preparation.mean)),
        "deviation": json.dumps(list(preparation.deviation)),
        "producer": f"autoscale {VERSION}",
    }


def text_files(
    preparation: Preparation,
    size: int,
    classes: Sequence[str] | None,
    answering: Answering | None,
) -> dict[str, str]:
    """The files that say how to use the others: text by file name."""
    return {
        PREPARATION: preparation_text(preparation, size),
        **answer_files(classes, answering),
    }


def answer_files(classes: Sequence[str] | None, answering: Answering | None) -> dict[str, str]:
    """The files that say what logits mean, as far as it is known: text by file name."""
    files = {LABELS: labels_text(classes)} if classes is not None else {}
    if answering is not None:
        files[ANSWERING] = json.dumps(answering_data(answering), indent=2) + "\n"
    return files


def timm_config(
    preparation: Preparation, size: int, classes: Sequence[str] | None, *, num_classes: int
) -> dict[str, Any]:
    """A timm `pretrained_cfg`, by which `timm.data.create_transform` nearly prepares pictures so.

    Source of the keys: rwightman/pytorch-image-models, timm/models/_pretrained.py.
    """
    named = {"label_names": list(classes)} if classes is not None else {}
    return {
        "custom_load": False,
        "input_size": [preparation.channels, *preparation.image_size(size)],
        "fixed_input_size": False,
        "interpolation": preparation.interpolation,
        "crop_pct": 1.0,
        "crop_mode": TIMM_CROPS[preparation.area],
        "mean": list(preparation.mean),
        "std": list(preparation.deviation),
        "num_classes": num_classes,
        "first_conv": "conv_stem",
        "classifier": "classifier",
        **named,
    }


def row(values: Sequence[float]) -> str:
    """Numbers in brackets, with all their digits."""
    return "(" + ", ".join(repr(float(value)).removesuffix(".0") for value in values) + ")"


def writable(text: str) -> str:
    """Text that UTF-8 can write: lone halves of surrogate pairs become escapes."""
    return text.encode(errors="backslashreplace").decode()


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
