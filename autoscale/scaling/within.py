"""A design scaled to the largest size that keeps limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscale.design.architecture import Architecture
from autoscale.design.measures.limits import Limit
from autoscale.design.rounding import PAPER, ROUNDINGS, SMALLEST_MAP, fit_strides, last_map
from autoscale.errors import BudgetUnreachable
from autoscale.scaling.family import Growths, Member, counts
from autoscale.scaling.family import member as family_member
from autoscale.scaling.limited import Limited
from autoscale.scaling.scalable import Design

#: Smallest phi that is tried, and steps of one.
_LEAST, _STEPS = -14, 100


def scalable(design: Architecture, num_classes: int) -> Design:
    """A design as it is scaled to limits: with these classes, and strides that suit its pixels."""
    return Design(fit_strides(replace(design, num_classes=num_classes)), ROUNDINGS["nearest"])


def scaled(base: Design, limits: Sequence[Limit]) -> Member:
    """The largest network of a design that keeps all limits; none is larger than the design.

    It shrinks by the paper's coefficients, to a hundredth of phi, but keeps as many pixels as its
    strides need.

    Raises:
        BudgetUnreachable: if none keeps them; the message says what the nearest costs.
    """
    limited, growths, least = Limited(limits), Growths(PAPER), fewest_pixels(base.base)
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


def fewest_pixels(design: Architecture) -> int:
    """The smallest resolution at which `fit_strides` leaves a design's strides alone."""
    return next(
        side
        for side in range(4, design.resolution + 1, 4)
        if side == design.resolution or _keeps_strides(design, side)
    )


def _keeps_strides(design: Architecture, side: int) -> bool:
    there = replace(design, resolution=side)
    return last_map(there) >= SMALLEST_MAP
