"""A network of any kindred design that begins with what another one has learnt.

What is mapped: width (the same channels along a residual stream), expansion, depth, kernels (from
their centres; new rings are 0), squeeze-and-excitation, head, classifier rows. Activations and
strides are the new design's own. Sources: Fang et al. 2020 (FNA) for the mapping; Chen et al. 2016
(Net2Net) and Wang et al. 2024 (LEMON) for growth that changes no answer.

New channels come with fresh weights and are read with weights of 0, new blocks begin as the
identity, new gates are constant. So these growths are lossless, alone and together, in evaluation
and in training: wider stem, stages and head, if the same blocks keep shortcuts; higher expansion
above 1; larger kernels; squeeze-and-excitation where there was none, or a wider one; blocks added
to a stage whose shortcut is the identity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from autoscale.design.architecture import Architecture
from autoscale.design.style import Style
from autoscale.errors import InvalidSetting
from autoscale.network.build import Network, build
from autoscale.network.inheritance.channels import ChannelChoice, choose
from autoscale.network.inheritance.correspondence import (
    Choices,
    Correspondence,
    NewExpansion,
    correspondence,
    require_kindred,
)
from autoscale.network.inheritance.donor import Donor, Observations
from autoscale.network.inheritance.rebuild import Rebuilt
from autoscale.network.inheritance.refit import loses, refit

#: Of the last norm of an activated block that begins as the identity: at exactly 0 a ReLU passes no
#: gradient, and the block would never move.
_AWAKE = 1e-6


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a part of a network came from its source."""

    part: str  # "stem", "stage 1", ..., "head", "classifier"
    params: int
    inherited: int  # of `params`

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.inherited / self.params if self.params else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Inherited:
    """A network that took weights from another, and how many."""

    network: Network  # in training mode
    shares: tuple[Share, ...]  # of each part, in the order of the network

    @property
    def share(self) -> float:
        """Of all parameters, in [0, 1]."""
        return sum(s.inherited for s in self.shares) / sum(s.params for s in self.shares)


def inherit(
    state: Mapping[str, Tensor],
    source: Architecture,
    architecture: Architecture,
    *,
    channels: ChannelChoice = "even",
    images: Tensor | None = None,
    rows: Sequence[int | None] | None = None,
    style: Style | None = None,
    seed: int = 0,
) -> Inherited:
    """Build `architecture` and give it the weights of a network of design `source`.

    The same arguments give the same bits; the global random state is left alone. Batch norm's
    statistics are the source's channels': see `recalibrate`.

    Args:
        state: the source's state dict, under our names or those of a library in `naming.NAMINGS`.
        channels: which of the source's channels a narrower network keeps: "even" ones, those read
            with the largest "norm", or, by `images`, those from which the layers that read them can
            best "rebuild" what they read of the others.
        images: some 256 normalised ones as the network will see them, (N, C, H, W), on the CPU; no
            labels. With them, what a cut network has left is fitted to what the source gives, see
            `refit`. Memory: some 6 MB for each image of 96 pixels and a source of Lite0's size, in
            proportion to the pixels.
        rows: of each class of the network, the source's row or None for a fresh one. Without, the
            classifier is taken as it is if it knows as many classes, and is fresh if not.
        style: padding and epsilon that the weights expect.
        seed: of everything that is fresh.

    Raises:
        InvalidSetting: if a design has blocks that cannot give or take weights, `state` is not of
            `source`, `rows` does not fit, or "rebuild" lacks images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(architecture, **(style or Style()).options)
    shares = inherit_into(
        network, architecture, state, source,
        channels=channels, images=images, rows=rows, style=style,
    )  # fmt: skip
    return Inherited(network, shares)


def inherit_into(
    network: Network,
    architecture: Architecture,
    state: Mapping[str, Tensor],
    source: Architecture,
    *,
    channels: ChannelChoice = "even",
    images: Tensor | None = None,
    rows: Sequence[int | None] | None = None,
    style: Style | None = None,
) -> tuple[Share, ...]:
    """Give a freshly built network the weights of another one; what has no source stays fresh.

    Arguments and errors are those of `inherit`, which also builds.
    """
    donor = Donor(state, source, style=style)
    observed = None if images is None else Observations(donor, images)
    return take_over(network, architecture, donor, channels=channels, observed=observed, rows=rows)


def take_over(
    network: Network,
    architecture: Architecture,
    donor: Donor,
    *,
    channels: ChannelChoice = "even",
    observed: Observations | None = None,
    rows: Sequence[int | None] | None = None,
) -> tuple[Share, ...]:
    """Give a freshly built network the weights of a donor, which may give to many.

    Args:
        observed: what the donor does with the images that the network is fitted by, if there are
            any; the donor's own, for images as the network will see them.

    The others, and the errors, are those of `inherit`.
    """
    require_kindred(architecture, "network")
    if channels not in ("even", "norm", "rebuild"):
        raise InvalidSetting(f"channels must be one of even, norm, rebuild, got {channels!r}")
    if channels == "rebuild" and observed is None:
        raise InvalidSetting("channels 'rebuild' goes by images; give some, or choose even or norm")
    theirs, own = donor.state, network.state_dict()
    if rows is not None and any(r is not None for r in rows) and _CLASSIFIER not in theirs:
        raise InvalidSetting("rows name classes of weights that have no classifier; leave them out")
    found = correspondence(own, architecture, theirs, donor.architecture)
    cut = observed is not None and loses(found, own, theirs)
    watched = observed if channels == "rebuild" and cut else None
    choices, rebuilt = choose(found, theirs, channels=channels, observed=watched, rows=rows)
    taken = _transfer(found, own, theirs, choices, rebuilt)
    for name in _begin(found, own, choices, architecture):
        taken[name] = 0
    if observed is not None and cut:
        training = network.training
        refit(network, donor.network, found, choices, observed.images, observed.arriving)
        network.train(training)
    return _shares(network, taken, len(architecture.stages))


_CLASSIFIER = "head.classifier.weight"


# Copying


def _transfer(
    found: Correspondence,
    own: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    choices: Choices,
    rebuilt: Mapping[str, Rebuilt],
) -> dict[str, int]:
    """Copy along all pairs into `own`; for each of its parameters, how many numbers were taken."""
    taken: dict[str, int] = {}
    for pair in found.pairs:
        rows = choices[pair.rows]
        columns = choices[pair.columns] if pair.columns else None
        weight = theirs[f"{pair.source}.weight"]
        shift = torch.zeros(len(weight))
        if pair.layer in rebuilt:
            again = rebuilt[pair.layer]
            weight = again.weight.to(weight.dtype).view_as(weight)
            shift = again.shift.to(weight.dtype)
        name = f"{pair.layer}.weight"
        taken[name] = _copy_weight(own[name], weight, rows, columns)
        if f"{pair.layer}.bias" in own:
            bias = theirs[f"{pair.source}.bias"] + shift
            taken[f"{pair.layer}.bias"] = _copy_rows(own[f"{pair.layer}.bias"], bias, rows)
        else:
            taken |= _copy_norm(_norm(pair.layer), own, _norm(pair.source), theirs, rows, shift)
    return taken


def _norm(layer: str) -> str:
    """The norm behind a convolution without bias."""
    return layer.removesuffix("0") + "1"


def _copy_norm(
    norm: str,
    own: Mapping[str, Tensor],
    source: str,
    theirs: Mapping[str, Tensor],
    rows: Tensor,
    shift: Tensor,
) -> dict[str, int]:
    own[f"{norm}.num_batches_tracked"].copy_(theirs[f"{source}.num_batches_tracked"])
    _copy_rows(own[f"{norm}.running_mean"], theirs[f"{source}.running_mean"] - shift, rows)
    _copy_rows(own[f"{norm}.running_var"], theirs[f"{source}.running_var"], rows)
    return {
        f"{norm}.{leaf}": _copy_rows(own[f"{norm}.{leaf}"], theirs[f"{source}.{leaf}"], rows)
        for leaf in ("weight", "bias")
    }


def _copy_rows(own: Tensor, theirs: Tensor, rows: Tensor) -> int:
    known = rows >= 0
    own[known] = theirs[rows[known]]
    return int(known.sum())


def _copy_weight(own: Tensor, theirs: Tensor, rows: Tensor, columns: Tensor | None) -> int:
    """Known rows of `own` become the source's; there, new columns and new rings are 0."""
    if columns is None:
        columns = torch.arange(theirs.shape[1])
    known, read = rows >= 0, columns >= 0
    part = theirs[rows[known]][:, columns[read]]
    overlap = 1
    if own.ndim == 4:
        ring = (own.shape[-1] - theirs.shape[-1]) // 2  # below 0: cut off
        part = functional.pad(part, [ring] * 4)
        overlap = min(own.shape[-1], theirs.shape[-1]) ** 2
    mapped = torch.zeros((len(part), *own.shape[1:]), dtype=own.dtype)
    mapped[:, read] = part
    own[known] = mapped
    return int(known.sum()) * int(read.sum()) * overlap


# How new parts begin


def _begin(
    found: Correspondence, own: Mapping[str, Tensor], choices: Choices, architecture: Architecture
) -> set[str]:
    """Let new blocks be the identity and new gates constant; the parameters reset by that."""
    reset = set()
    for name in found.gates:  # a constant one half
        own[f"{name}.weight"].zero_()
        own[f"{name}.bias"].zero_()
    for new in found.expansions:
        _pass_on(new, own, choices)
    for pair in found.pairs:
        if pair.start == "gate":  # which makes up for the constant half
            own[f"{pair.layer}.weight"].mul_(2)
        elif pair.start == "identity":
            norm = _norm(pair.layer)
            stage = architecture.stages[int(pair.layer.split(".")[1])]
            activated = stage.block == "separable" and stage.activation in ("relu", "relu6")
            own[f"{norm}.weight"].zero_()
            own[f"{norm}.bias"].fill_(_AWAKE if activated else 0.0)
            reset |= {f"{norm}.weight", f"{norm}.bias"}
    return reset


def _pass_on(new: NewExpansion, own: Mapping[str, Tensor], choices: Choices) -> None:
    """Rows whose channel the source filters as it comes read that channel alone."""
    rows, columns = choices[new.rows], choices[new.columns]
    weight = own[f"{new.layer}.weight"]
    same = (rows[:, None] == columns) & (rows >= 0)[:, None]
    matched = same.any(1)
    weight[matched] = same[matched].to(weight.dtype)[:, :, None, None]


def _shares(network: Network, taken: Mapping[str, int], stages: int) -> tuple[Share, ...]:
    parts = ["stem", *(f"stage {number}" for number in range(1, stages + 1)), "head", "classifier"]
    params, inherited = dict.fromkeys(parts, 0), dict.fromkeys(parts, 0)
    for name, value in network.named_parameters():
        first, second, *_ = name.split(".")
        part = first if second != "classifier" else "classifier"
        part = f"stage {int(second) + 1}" if first == "stages" else part
        params[part] += value.numel()
        inherited[part] += taken.get(name, 0)
    return tuple(Share(part, params[part], inherited[part]) for part in parts if params[part])
