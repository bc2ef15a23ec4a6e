"""What torchvision calls the parts of its networks.

Source: pytorch/vision, torchvision/models/efficientnet.py, mobilenetv2.py, mobilenetv3.py,
convnext.py and resnet.py, of which ResNeXts are made too; timm calls the parts of its ResNets and
ResNeXts alike.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from autoscale.design.style import STYLES, Style
from autoscale.network.naming.layers import DOWNSAMPLE, Layer, Names, Naming, layers_of, renamed


def torchvision_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What torchvision's EfficientNets call each of our names, from the names alone.

    Raises:
        InvalidSetting: if they have no such block or no such head.
    """

    def place(at: Layer) -> str | None:
        found = _in_a_row(at)
        return f"features.{at.stage + 1}.{at.block}.block.{found}" if found else None

    ours = [*ours]
    last = 1 + max((at.stage for at in layers_of(ours).values()), default=0)
    return renamed(ours, "torchvision's EfficientNet", _outside(last + 1), place)


def mobilenet_v2_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What torchvision's MobileNetV2 calls each of our names, from the names alone.

    Raises:
        InvalidSetting: if it has no such block or no such head.
    """

    def place(at: Layer) -> str | None:
        if not {"depthwise", "project"} <= {*at.parts} <= {"expand", "depthwise", "project"}:
            return None
        number = at.parts.index(at.part)
        inner = (
            str(number + int(at.position)) if at.part == "project" else f"{number}.{at.position}"
        )
        return f"features.{at.running + 1}.conv.{inner}"

    ours = [*ours]
    return renamed(ours, "torchvision's MobileNetV2", _outside(_blocks(ours) + 1), place)


def mobilenet_v3_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What torchvision's MobileNetV3s call each of our names, from the names alone.

    Raises:
        InvalidSetting: if they have no such block or no such head.
    """

    def place(at: Layer) -> str | None:
        found = _in_a_row(at)
        return f"features.{at.running + 1}.block.{found}" if found else None

    ours = [*ours]
    head = {"head.hidden.conv": "classifier.0", "head.classifier": "classifier.3"}
    outside = _outside(_blocks(ours) + 1) | head
    return renamed(ours, "torchvision's MobileNetV3", outside, place)


def _in_a_row(at: Layer) -> str | None:
    """A layer of an inverted bottleneck whose parts are numbered."""
    if not {*at.parts} <= {"expand", "depthwise", "excite", "project"}:
        return None
    inner = {"reduce": "fc1", "expand": "fc2"} if at.part == "excite" else {"0": "0", "1": "1"}
    if at.position not in inner:
        return None
    return f"{at.parts.index(at.part)}.{inner[at.position]}"


def _blocks(ours: Iterable[str]) -> int:
    return 1 + max((at.running for at in layers_of(ours).values()), default=0)


def _outside(head: int) -> Names:
    return {
        "stem.0": "features.0.0",
        "stem.1": "features.0.1",
        "head.conv.0": f"features.{head}.0",
        "head.conv.1": f"features.{head}.1",
        "head.classifier": "classifier.1",
    }


def resnet_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What torchvision's and timm's ResNets and ResNeXts call each of our names.

    Raises:
        InvalidSetting: if they have no such block or no such head.
    """

    def place(at: Layer) -> str | None:
        here = f"layer{at.stage + 1}.{at.block}"
        if at.part == "shortcut":
            return f"{here}.downsample.{at.position}"
        if at.part.isdigit() and at.position in ("0", "1"):
            return f"{here}.{('conv', 'bn')[int(at.position)]}{int(at.part) + 1}"
        return None

    outside = {"stem.0": "conv1", "stem.1": "bn1", "head.classifier": "fc"}
    return renamed([*ours], "torchvision's ResNet", outside, place)


_CONVNEXT_OUTSIDE = {
    "stem.conv": "features.0.0",
    "stem.norm": "features.0.1",
    "head.norm": "classifier.0",
    "head.classifier": "classifier.2",
}
_CONVNEXT_LAYERS = {
    "depthwise.conv": "block.0",
    "depthwise.norm": "block.2",
    "expand.conv": "block.3",
    "project": "block.5",
    "scale": "layer_scale",
}


def convnext_names(ours: Iterable[str], theirs: Iterable[str] = ()) -> Names:
    """What torchvision's ConvNeXts call each of our names, from the names alone.

    Raises:
        InvalidSetting: if they have no such block or no such head.
    """

    def place(at: Layer) -> str | None:
        if at.part == "downsample":
            return f"features.{2 * at.stage}.{DOWNSAMPLE[at.position]}"
        found = _CONVNEXT_LAYERS.get(at.layer)
        return f"features.{2 * at.stage + 1}.{at.block}.{found}" if found else None

    return renamed([*ours], "torchvision's ConvNeXt", _CONVNEXT_OUTSIDE, place)


def _efficientnet_style(state: Mapping[str, Any]) -> Style:
    """B5 to B7 (by the width of their heads) and V2 (by its first filter, a full one) use 1e-3."""
    features = state["classifier.1.weight"].shape[1] if "classifier.1.weight" in state else 0
    fused = state["features.1.0.block.0.0.weight"].shape[1] > 1
    return STYLES["autoscale"] if fused or features >= 2048 else STYLES["timm"]


NAMINGS = (
    Naming(
        owner="torchvision's",
        network="torchvision's EfficientNet",
        holds=lambda state: "features.1.0.block.0.0.weight" in state,
        names=torchvision_names,
        style=_efficientnet_style,
        classifier="classifier.1",
    ),
    Naming(
        owner="torchvision's",
        network="torchvision's MobileNetV2",
        holds=lambda state: "features.1.conv.0.0.weight" in state,
        names=mobilenet_v2_names,
        style=lambda _: STYLES["timm"],
        classifier="classifier.1",
    ),
    Naming(
        owner="torchvision's",
        network="torchvision's MobileNetV3",
        holds=lambda state: "features.1.block.0.0.weight" in state,
        names=mobilenet_v3_names,
        style=lambda _: STYLES["autoscale"],
        classifier="classifier.3",
    ),
    Naming(
        owner="torchvision's",
        network="torchvision's ResNet",
        holds=lambda state: "layer1.0.conv1.weight" in state,
        names=resnet_names,
        style=lambda _: STYLES["timm"],
        classifier="fc",
    ),
    Naming(
        owner="torchvision's",
        network="torchvision's ConvNeXt",
        holds=lambda state: "features.1.0.layer_scale" in state,
        names=convnext_names,
        style=lambda _: STYLES["timm"],  # which it has no layer for
        classifier="classifier.2",
    ),
)
