"""A published design scaled to the limits, and the space of designs around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from autoscale.design.architecture import BLOCK_FIELDS, Architecture, Stage
from autoscale.design.document import dump
from autoscale.design.measures.limits import Limit
from autoscale.design.rounding import PAPER, ROUNDINGS, fit_strides
from autoscale.errors import BudgetUnreachable
from autoscale.scaling.family import Growths, Member, counts
from autoscale.scaling.family import member as family_member
from autoscale.scaling.limited import Limited
from autoscale.scaling.scalable import Design

#: Widths of a stage and sides of an image in a space, as shares of the design's.
_SHARES = (0.75, 1.0, 1.25)
#: Smallest phi that is tried, and steps of one.
_LEAST, _STEPS = -14, 100


def scaled(base: Design, limits: Sequence[Limit]) -> Member:
    """The largest network of a design that keeps all limits; none is larger than the design.

    It shrinks by the paper's coefficients, to a hundredth of phi, but keeps as many pixels as its
    strides need.

    Raises:
        BudgetUnreachable: if none keeps them; the message says what the nearest costs.
    """
    limited, growths, least = Limited(limits), Growths(PAPER), _fewest_pixels(base.base)
    for step in range(-_LEAST * _STEPS + 1):
        phi = -step / _STEPS
        growth = growths.at(phi)
        side = max(least, int(base.pixels(growth.resolution)))
        network = base.at(growth.depth, growth.width, side)
        if limited([network])[0]:
            found = family_member(base, growths, phi, name="scaled")
            assert isinstance(found, Member)
            return replace(
                found,
                resolution=side / base.resolution,
                architecture=network,
                counts=counts(network),
            )
    raise BudgetUnreachable(
        f"no size of the design keeps the limits; the nearest costs {limited.nearest}; raise a "
        "limit, or search a space of smaller networks with search-baseline --space"
    )


def _fewest_pixels(design: Architecture) -> int:
    """The smallest side at which `fit_strides` leaves a design's strides alone."""
    return next(
        side
        for side in range(4, design.resolution + 1, 4)
        if side == design.resolution or _keeps_strides(design, side)
    )


def _keeps_strides(design: Architecture, side: int) -> bool:
    there = replace(design, resolution=side)
    return fit_strides(there) == there


def space_around(design: Architecture, *, name: str) -> str:
    """A search space as YAML text: the design, and what lies around it.

    Each stage may be narrower or wider, shallower or deeper, with smaller or larger kernels and
    expansions, and images may have fewer or more pixels; the rest is the design's. The design
    itself is one of its networks.
    """
    plain = design.to_dict()
    least = _fewest_pixels(design)
    sides = {max(least, 8 * round(design.resolution * share / 8)) for share in _SHARES}
    space: dict[str, Any] = {
        "name": name,
        "description": f"designs around one at {design.resolution} pixels",
        "resolution": sorted({design.resolution, *sides}),
        "stem": plain["stem"],
        "stages": [_stage(stage) for stage in design.stages],
        "head": plain["head"],
        "num_classes": design.num_classes,
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
