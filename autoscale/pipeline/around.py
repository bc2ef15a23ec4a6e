"""The space of designs around one that is scaled to limits."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from autoscale.design.architecture import BLOCK_FIELDS, Architecture, Stage
from autoscale.design.document import dump
from autoscale.design.rounding import ROUNDINGS
from autoscale.scaling.within import fewest_pixels

#: Widths of a stage and sides of an image in a space, as shares of the design's.
_SHARES = (0.75, 1.0, 1.25)


def space_around(design: Architecture, *, name: str) -> str:
    """A search space as YAML text: the design, and what lies around it.

    Each stage may be narrower or wider, shallower or deeper, with smaller or larger kernels and
    expansions, and images may have fewer or more pixels; the rest is the design's. The design
    itself is one of its networks.
    """
    plain = design.to_dict()
    least = fewest_pixels(design)
    sides = {max(least, 8 * round(design.resolution * share / 8)) for share in _SHARES}
    space: dict[str, Any] = {
        "name": name,
        "description": f"designs around one at {design.image_size} pixels",
        "resolution": sorted({design.resolution, *sides}),
        "stem": plain["stem"],
        "stages": [_stage(stage) for stage in design.stages],
        "head": plain["head"],
        "num_classes": design.num_classes,
        **({"aspect": plain["aspect"]} if "aspect" in plain else {}),
    }
    return dump({"kind": "space", **space})


def _stage(stage: Stage) -> dict[str, Any]:
    """The choices of a stage."""
    listens = BLOCK_FIELDS[stage.block]
    fixed = {
        f.name: getattr(stage, f.name)
        for f in fields(stage)
        if f.name in listens | {"block", "stride"} and getattr(stage, f.name) != f.default
    }
    widths = {int(ROUNDINGS["nearest"].width(stage.width, share)) for share in _SHARES} | {
        stage.width
    }
    choices: dict[str, Any] = {
        "width": sorted(widths),
        "depth": sorted({max(1, stage.depth - 1), stage.depth, stage.depth + 1}),
    }
    if "kernel" in listens:
        choices["kernel"] = sorted({3, 5, stage.kernel})
    if "expand_ratio" in listens and stage.expand_ratio > 2:
        choices["expand_ratio"] = sorted({stage.expand_ratio - 2, stage.expand_ratio})
    return {"block": stage.block, **fixed, **choices}
