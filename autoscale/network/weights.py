"""Weights into our networks, under our names or another library's, and out of them as timm's.

timm's checkpoints come in two styles with the same names and shapes: networks trained in PyTorch
(`efficientnet_b0`: symmetric padding, batch-norm epsilon 1e-5) and networks converted from
TensorFlow (`tf_efficientnet_b0`: "same" padding, epsilon 1e-3). Weights cannot tell which.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from autoscale.design.style import STYLES as STYLES  # for who loads weights
from autoscale.design.style import Style as Style
from autoscale.errors import InvalidSetting
from autoscale.network.naming import LIBRARIES, naming_of
from autoscale.network.naming import has_timm_names as has_timm_names
from autoscale.network.naming import timm_names as timm_names

#: A counter of training steps, which old checkpoints lack and evaluation does not read.
_COUNTER = "num_batches_tracked"
_CLASSIFIER = re.compile(r"(?:head\.)?classifier\.(?:weight|bias)")


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict under timm's names, in our order.

    Raises:
        InvalidSetting: if timm's EfficientNet has no such block or no such head.
    """
    names = timm_names(state)
    return {names[name]: value for name, value in state.items()}


def from_foreign(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under the names of `own`, whichever library's it had; others stay as they are.

    What is a 1x1 convolution here and a matrix there, or the reverse, gets the shape of `own`.

    Raises:
        InvalidSetting: if that library has no network like `own`.
    """
    naming = naming_of(state)
    if naming is None or naming_of(own) is naming:
        return dict(state)
    try:
        ours = {theirs: name for name, theirs in naming.names(own, state).items()}
    except InvalidSetting as problem:
        raise InvalidSetting(
            f"the weights have {naming.owner} names and are another network's: {problem}"
        ) from None
    found = {ours.get(name, name): value for name, value in state.items()}
    return {name: _shaped(value, own.get(name)) for name, value in found.items()}


def _shaped(theirs: Tensor, own: Tensor | None) -> Tensor:
    """Of the shape of `own`, if sides of 1 at the end are all that differs."""
    if own is None or theirs.shape == own.shape or theirs.layout != torch.strided:
        return theirs
    same = _without_ones(theirs.shape) == _without_ones(own.shape)
    return theirs.reshape(own.shape) if same else theirs


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    sides = list(shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def class_rows(state: Mapping[str, Tensor]) -> int | None:
    """How many classes weights tell apart; None if they have no classifier."""
    naming = naming_of(state)
    theirs = naming.classifier if naming else "classifier"
    for name in ("head.classifier.weight", f"{theirs}.weight"):
        if name in state and state[name].ndim == 2:
            return state[name].shape[0]
    return None


def load_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    *,
    rows: Sequence[int | None] | None = None,
) -> list[str]:
    """Put `state` into `network`, under our names or those of a library in `naming.NAMINGS`.

    A classifier for another number of classes stays the network's own, freshly made one. Numbers of
    another precision are converted.

    Args:
        rows: of each class of the network, the row of the weights' classifier that it takes, or
            None for a class that keeps its fresh row. Weights without a classifier are taken too,
            if there is none but None. Without, the classifier is taken as it is.

    Returns:
        What a person should know, in sentences; empty if everything was taken as it is, or as
        `rows` says.

    Raises:
        InvalidSetting: naming what is missing, left over, of another shape, not finite or no number
            of ours; then the network is unchanged.
    """
    own = network.state_dict()
    theirs = from_foreign(state, own)
    classifier = [name for name in own if _CLASSIFIER.fullmatch(name)]
    if rows is not None and all(row is None for row in rows):
        theirs |= {name: own[name] for name in classifier}
    _require_names(own, theirs, state)
    _require_numbers(own, theirs)
    notes = []
    differing = [n for n in own if n in theirs and theirs[n].shape != own[n].shape]
    if rows is not None:
        differing = [name for name in differing if name not in classifier]
    if differing and set(differing) <= set(classifier) and _same_features(own, theirs, classifier):
        counts = theirs[differing[0]].shape[0], own[differing[0]].shape[0]
        notes.append(
            f"the weights know {counts[0]:,} classes and the network {counts[1]:,}; its classifier "
            "is new and must be trained"
        )
        theirs |= {name: own[name] for name in classifier}
    elif differing or (rows is not None and not _same_features(own, theirs, classifier)):
        name = (differing or classifier)[0]
        raise InvalidSetting(
            f"the weights are another network's: {name} is {tuple(theirs[name].shape)} there and "
            f"{tuple(own[name].shape)} here (and {max(0, len(differing) - 1)} more differ)"
        )
    elif rows is not None and any(row is not None for row in rows):
        theirs |= {name: _chosen(own[name], theirs[name], rows) for name in classifier}
    with torch.no_grad():
        for name, value in own.items():
            if name in theirs:
                value.copy_(theirs[name])
    return notes


def _require_names(
    own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> None:
    missing = [n for n in own if n not in theirs and not n.endswith(_COUNTER)]
    left = [n for n in theirs if n not in own]
    if not missing and not left:
        return
    naming = naming_of(state)
    whose = f" (their names are {naming.owner})" if naming else ""
    if naming is None and not {*own} & {*theirs}:
        whose = (
            f" (their names are neither autoscale's nor those of {', '.join(LIBRARIES[:-1])} or "
            f"{LIBRARIES[-1]})"
        )
    raise InvalidSetting(
        f"the weights are another network's: missing {_some(missing)}; left over {_some(left)}"
        f"{whose}"
    )


def _require_numbers(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    for name, value in own.items():
        found = theirs.get(name, value)
        if found.layout != torch.strided or found.is_meta:
            raise InvalidSetting(
                f"{name} is stored without its numbers or sparse; save network.state_dict() of "
                "dense tensors"
            )
        if found.is_floating_point() != value.is_floating_point() and not name.endswith(_COUNTER):
            raise InvalidSetting(
                f"{name} holds {str(found.dtype).removeprefix('torch.')} numbers, and autoscale "
                "takes floating-point weights; give those from before quantisation"
            )
        if not found.to(value.dtype).isfinite().all():
            raise InvalidSetting(
                f"{name} holds NaN or infinity, so every answer would be; take weights from before "
                "the training diverged, or before they were converted to half precision"
            )


def _same_features(
    own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], classifier: list[str]
) -> bool:
    return all(theirs[name].shape[1:] == own[name].shape[1:] for name in classifier)


def _chosen(fresh: Tensor, rows_there: Tensor, rows: Sequence[int | None]) -> Tensor:
    found = fresh.clone()
    for place, row in enumerate(rows):
        if row is not None:
            found[place] = rows_there[row].to(found.dtype)
    return found


def _some(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
