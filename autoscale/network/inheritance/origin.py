"""Which design weights are of, told from their names and shapes."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.published import NETWORKS
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.weights import class_rows, from_foreign

#: What batch norms count and estimate, which are no parameters.
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def fits(state: Mapping[str, Tensor], architecture: Architecture) -> bool:
    """Whether a state dict is of a design, its number of classes aside.

    Names may be ours or those of a library in `naming.NAMINGS`. Strides, activations and the
    resolution show in no shape, so designs that differ in those alone all fit.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes alone
        own = build(architecture).state_dict()
    try:
        theirs = from_foreign(state, own)
    except InvalidSetting:
        return False
    if not own.keys() >= theirs.keys():
        return False
    return all(_alike(name, value, theirs.get(name)) for name, value in own.items())


def published_origin(state: Mapping[str, Tensor]) -> str | None:
    """The published network whose names and shapes a state dict has; None if there is none.

    Of several, the first in the list: those that share all shapes differ in the resolution alone.
    """
    count = sum(value.numel() for name, value in state.items() if not name.endswith(_BUFFERS))
    rows = class_rows(state)
    return next(
        (
            name
            for name, network in NETWORKS.items()
            if _params(network, rows) == count and fits(state, network)
        ),
        None,
    )


def _alike(name: str, own: Tensor, theirs: Tensor | None) -> bool:
    if name.startswith("head.classifier."):
        return theirs is None or theirs.shape[1:] == own.shape[1:]
    if theirs is None:
        return name.endswith("num_batches_tracked")  # which old checkpoints lack
    return theirs.shape == own.shape


def _params(network: Architecture, classes: int | None) -> int:
    """Of a network for so many classes; of one without a classifier if they are not known."""
    if classes is not None:
        return cost(replace(network, num_classes=classes)).params
    one, two = (cost(replace(network, num_classes=count)).params for count in (1, 2))
    return 2 * one - two
