"""Which channels of the source a network of another width keeps.

Sources: evenly spaced channels, Xu et al. 2024 (weight selection); by the L1 norm of what reads
them, Cai et al. 2020 (Once-for-All); by what the layers that read them can rebuild from the others,
`rebuild.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from autoscale.errors import InvalidSetting
from autoscale.network.inheritance.correspondence import (
    CLASSES,
    NEW,
    Axis,
    Choices,
    Correspondence,
    evenly,
)
from autoscale.network.inheritance.donor import Observations
from autoscale.network.inheritance.rebuild import Rebuilt

ChannelChoice = Literal["even", "norm", "rebuild"]


def choose(
    found: Correspondence,
    theirs: Mapping[str, Tensor],
    *,
    channels: ChannelChoice,
    observed: Observations | None = None,
    rows: Sequence[int | None] | None = None,
) -> tuple[dict[Axis, Tensor], dict[str, Rebuilt]]:
    """The source's channel of each channel of each axis; and readers that make up for the rest.

    Where an axis is as wide as the source's all channels keep their places, where it is wider the
    new ones stand at the end.

    Args:
        theirs: the source's state dict.
        observed: what the source does with some images, for "rebuild".
        rows: of each class of the network, the source's row or None.

    Returns:
        Beside the choices, by the names of the network's layers, weights of the source that read
        the kept channels alone; empty but for "rebuild".
    """
    choices: dict[Axis, Tensor] = {}
    rebuilt: dict[str, Rebuilt] = {}
    for axis in found.axes:
        if axis.name == CLASSES:
            choices[axis] = _classes(axis, rows)
        elif axis.width >= axis.source_width:
            kept = torch.arange(axis.width)
            choices[axis] = kept.where(kept < axis.source_width, NEW)
        elif axis.free or channels == "even" or not found.readers(axis):
            choices[axis] = torch.tensor(evenly(axis.source_width, axis.width))
        elif channels == "norm":
            choices[axis] = _strongest(axis, found, theirs)
        else:
            assert observed is not None
            choices[axis], weights = _rebuilding(axis, found, theirs, choices, observed)
            rebuilt |= weights
    return choices, rebuilt


def _classes(axis: Axis, rows: Sequence[int | None] | None) -> Tensor:
    if rows is None:  # the same classes if there are as many, else unknown ones
        same = axis.width == axis.source_width
        return torch.arange(axis.width) if same else torch.full((axis.width,), NEW)
    if len(rows) != axis.width or not all(r is None or 0 <= r < axis.source_width for r in rows):
        raise InvalidSetting(
            f"rows must name, for each of {axis.width} classes, a row of the {axis.source_width} "
            f"of the weights or None, got {len(rows)} of which the largest is "
            f"{max((r for r in rows if r is not None), default=None)}"
        )
    return torch.tensor([NEW if row is None else row for row in rows])


def _strongest(axis: Axis, found: Correspondence, theirs: Mapping[str, Tensor]) -> Tensor:
    """The channels that are read with the largest weights, in order; every reader counts alike."""
    total = torch.zeros(axis.source_width, dtype=torch.float64)
    for pair in found.readers(axis):
        norms = theirs[f"{pair.source}.weight"].double().abs().flatten(1).sum(0)
        total += norms / norms.sum().clamp_min(torch.finfo(torch.float64).tiny)
    # A stable order: of equal channels the earlier ones are kept.
    return total.sort(descending=True, stable=True).indices[: axis.width].sort().values


def _rebuilding(
    axis: Axis,
    found: Correspondence,
    theirs: Mapping[str, Tensor],
    choices: Choices,
    observed: Observations,
) -> tuple[Tensor, dict[str, Rebuilt]]:
    readers = found.readers(axis)
    needed = []
    for pair in readers:
        outputs = torch.arange(len(theirs[f"{pair.source}.weight"]))
        # Rows that are dropped need no inputs; streams, which come first, do not know them yet.
        kept = choices.get(pair.rows, outputs)
        needed.append(kept[kept >= 0])
    chosen, weights = observed.reduced([pair.source for pair in readers], needed, axis.width)
    return chosen, {pair.layer: again for pair, again in zip(readers, weights, strict=True)}
