"""Layers of a cut network fitted, one after the other, to what the source's layers give.

A layer that lost inputs no longer gives what it gave, and the errors of all layers add up. So from
the stem to the head, on a few batches, each layer's weights become those of least squares from what
arrives there in the network to what its source gives at the kept channels; the next layer then sees
what this one really gives. Source: He et al. 2017 (channel pruning), section 3.2, who refit layer
by layer too; here also behind depthwise convolutions, by a factor and an offset for each channel,
and without shrinking: outputs vary as much as the source's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.network.inheritance.correspondence import Choices, Correspondence, Pair

#: Added to the variances of a layer's inputs, in shares of their mean.
_RIDGE = 1e-3
_TINY = 1e-8
#: Smallest variance that is trusted, in shares of a norm's epsilon.
_LEAST = 0.01


def loses(found: Correspondence, own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    """Whether a network lacks channels or parts of kernels of its source, and so gives others."""
    return any(axis.width < axis.source_width for axis in found.axes) or any(
        own[f"{pair.layer}.weight"].shape[2:].numel()
        < theirs[f"{pair.source}.weight"].shape[2:].numel()
        for pair in found.pairs
    )


def refit(
    network: nn.Module,
    source: nn.Module,
    found: Correspondence,
    choices: Choices,
    images: Tensor,
    arriving: Mapping[str, Tensor],
) -> None:
    """Fit the convolutions of `network` that have a counterpart, in place; see the module.

    Blocks that begin as the identity, new channels, gates and the classifier stay as they are. Both
    networks end in evaluation mode.

    Args:
        network: with the source's weights already in it.
        images: normalised, (N, C, H, W), of the network's size: some 256.
        arriving: what the source's parts read of them, see `arriving`.
    """
    pairs = {pair.layer: pair for pair in found.pairs if pair.start != "identity"}
    own, theirs = _modules(network.eval()), _modules(source.eval())
    with torch.no_grad():
        x = images
        for name, unit in _units(network):
            mine = {layer: pairs.get(layer) for layer in _layers(name, unit)}
            targets = _targets(theirs, arriving, [pair for pair in mine.values() if pair])
            with _fitting(own, mine, targets, choices):
                x = unit(x)


def _modules(network: nn.Module) -> dict[str, nn.Module]:
    return dict(network.named_modules())


def _units(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What runs one after the other: stem, blocks and the head's convolution."""
    modules = _modules(network)
    yield "stem", modules["stem"]
    for stage, row in modules["stages"].named_children():
        for number, block in row.named_children():
            yield f"stages.{stage}.{number}", block
    if "head.conv" in modules:
        yield "head.conv", modules["head.conv"]


def _unit(layer: str) -> str:
    """The unit that a convolution lies in."""
    parts = layer.split(".")
    return ".".join(parts[: {"stem": 1, "stages": 3, "head": 2}[parts[0]]])


def _layers(name: str, unit: nn.Module) -> list[str]:
    """The convolutions with a norm behind them."""
    return [
        f"{name}.{inner}"
        for inner, module in unit.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is None
    ]


def arriving(source: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What stem, blocks and the head's convolution of a network read of some images, by name.

    The network is used in evaluation mode and left in it.
    """
    found: dict[str, Tensor] = {}
    hooks = [
        unit.register_forward_pre_hook(lambda _, inputs, name=name: found.update({name: inputs[0]}))
        for name, unit in _units(source.eval())
    ]
    try:
        with torch.no_grad():
            source(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _targets(
    theirs: Mapping[str, nn.Module], arriving: Mapping[str, Tensor], pairs: list[Pair]
) -> dict[str, Tensor]:
    """For each pair what the source's norm gives, (N, C, H, W), by the network's layer."""
    found: dict[str, Tensor] = {}
    units = {_unit(pair.source) for pair in pairs}
    hooks = [
        theirs[_norm(pair.source)].register_forward_hook(
            # A copy: activations work in place.
            lambda _module, _inputs, output, layer=pair.layer: found.update({layer: output.clone()})
        )
        for pair in pairs
    ]
    try:
        for unit in units:
            theirs[unit](arriving[unit])
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def _fitting(
    own: Mapping[str, nn.Module],
    layers: Mapping[str, Pair | None],
    targets: Mapping[str, Tensor],
    choices: Choices,
) -> Iterator[None]:
    """Fit each layer just before it runs, for that is when its inputs are known."""

    def fit(layer: str, x: Tensor) -> None:
        conv, norm, pair = own[layer], own[_norm(layer)], layers[layer]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        if pair is None:
            _Outputs(conv.forward(x)).describe(norm)
            return
        rows = choices[pair.rows]
        goal = targets[layer][:, rows[rows >= 0]]
        size = conv.forward(x[:1]).shape[-2:]  # without the hooks, of which this is one
        if goal.shape[-2:] != size:  # other strides
            goal = functional.adaptive_avg_pool2d(goal, (size[0], size[1]))
        wanted = _rows(goal)
        if pair.columns is not None:
            known = conv.weight[rows >= 0]
            read = choices[pair.columns] >= 0
            known[:, read] = _least_squares(_chosen(_rows(x), read), wanted)[:, :, None, None]
            conv.weight[rows >= 0] = known
        outputs = _Outputs(conv.forward(x))
        outputs.describe(norm)
        outputs.scale(norm, wanted, rows >= 0)

    hooks = [
        own[layer].register_forward_pre_hook(lambda _, inputs, layer=layer: fit(layer, inputs[0]))
        for layer in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _least_squares(inputs: Tensor, outputs: Tensor) -> Tensor:
    """(C,) inputs times it are nearest to (D,) outputs, but for an offset; (D, C)."""
    mean, goal = inputs.mean(0, dtype=torch.float64), outputs.mean(0, dtype=torch.float64)
    covariance = (inputs.T @ inputs).double() / len(inputs) - mean.outer(mean)
    between = (outputs.T @ inputs).double() / len(inputs) - goal.outer(mean)
    ridge = _RIDGE * covariance.diagonal().mean().clamp_min(_TINY)
    covariance += ridge * torch.eye(len(covariance), dtype=torch.float64)
    return torch.linalg.solve(covariance, between.T).T.to(inputs.dtype)


class _Outputs:
    """What a convolution gives, (N, C, H, W), and what the norm behind it makes of that."""

    def __init__(self, outputs: Tensor) -> None:
        self._rows = _rows(outputs)
        self._mean = self._rows.mean(0)
        self._variance = self._rows.var(0, correction=0)

    def describe(self, norm: nn.BatchNorm2d) -> None:
        """Let the norm's statistics be theirs."""
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(self._mean)
        norm.running_var.copy_(self._variance)

    def scale(self, norm: nn.BatchNorm2d, wanted: Tensor, known: Tensor) -> None:
        """Let known channels have the wanted means and deviations, with the nearer sign."""
        variance, goal = self._variance[known], wanted.mean(0)
        together = _chosen(self._rows, known) - self._mean[known]
        agreement = together.mul_(wanted - goal).mean(0)
        factor = wanted.std(0, correction=0) * torch.where(agreement < 0, -1.0, 1.0)
        # A channel that hardly varies is not blown up.
        norm.weight[known] = (
            factor * ((variance + norm.eps) / variance.clamp_min(_LEAST * norm.eps)).sqrt()
        )
        norm.bias[known] = goal


def _chosen(rows: Tensor, columns: Tensor) -> Tensor:
    """Some columns; without a copy if that is all."""
    return rows if bool(columns.all()) else rows[:, columns]


def _rows(x: Tensor) -> Tensor:
    return x.movedim(1, -1).flatten(0, -2)


def _norm(layer: str) -> str:
    return layer.removesuffix("0") + "1"
