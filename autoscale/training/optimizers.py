"""Optimisers by the names that recipes use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from autoscale.errors import InvalidSetting
from autoscale.training.parts import shares_of_rate
from autoscale.training.recipe import Recipe


class Eager(Optimizer):
    """Base of optimisers that do not load torch's compiler.

    torch shields these methods from `torch.compile` by wrappers that import the compiler when they
    are first called: a second of CPU time and 70 MB in every process that trains (torch 2.13). No
    optimiser is compiled here, so they are taken as they were before they were wrapped.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class SGD(Eager, torch.optim.SGD):
    """torch's, eager."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class AdamW(Eager, torch.optim.AdamW):
    """torch's, eager."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class LBFGS(Eager, torch.optim.LBFGS):
    """torch's, eager; its step is not wrapped."""


class RMSpropTF(Eager):
    """RMSProp as TensorFlow 1 computes it, which the papers' recipes were tuned for.

    Unlike torch's, `eps` is added inside the root, squares are averaged from 1 instead of 0 (so the
    first steps are small), and momentum gathers steps already multiplied by the learning rate.
    Weight decay is added to the gradient, as the gradient of half its square in the loss.

    Source: tensorflow `ApplyRMSProp`; used with decay 0.9, momentum 0.9 and eps 1e-3 by Tan & Le
    2019 (EfficientNet), section 5.2 and the released code.
    """

    def __init__(
        self, params: Any, *, lr: float, decay: float = 0.9, momentum: float = 0.9,
        eps: float = 1e-3, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "decay": decay, "momentum": momentum, "eps": eps,
            "weight_decay": weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if not moved:
                continue
            for parameter in moved:
                state = self.state[parameter]
                if not state:
                    state["square"] = torch.ones_like(parameter)
                    state["momentum"] = torch.zeros_like(parameter)
            gradients: list[Tensor] = [p.grad for p in moved]
            squares = [self.state[p]["square"] for p in moved]
            momenta = [self.state[p]["momentum"] for p in moved]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, moved, alpha=group["weight_decay"]))
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
            roots = torch._foreach_add(squares, group["eps"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_addcdiv_(momenta, gradients, roots, group["lr"])
            torch._foreach_sub_(moved, momenta)


def make_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser for all weights that learn; biases and norms are never decayed.

    Each group of parameters has a `share` of the learning rate, see `set_learning_rate`.

    Raises:
        InvalidSetting: if no weight learns.
    """
    groups = _groups(network, recipe)
    if not groups:
        raise InvalidSetting("no weight of the network learns; freeze less of it")
    rate = recipe.learning_rate
    match recipe.optimizer:
        case "sgd":
            optimizer = SGD(
                groups, lr=rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
            )
            if recipe.momentum:
                _at_rest(optimizer)
            return optimizer
        case "rmsprop":
            return RMSpropTF(groups, lr=rate, momentum=recipe.momentum)
        case "adamw":
            return AdamW(groups, lr=rate, betas=(recipe.momentum, 0.999), fused=True)


def _at_rest(optimizer: SGD) -> None:
    """Begin with momenta of 0, which change nothing. Else torch's fused steps fail where one weight
    has had gradients and another has not (torch 2.13), as in networks inside each other."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by their share of the rate, the classifier's last, and by decay or none."""
    learning = [p for p in network.parameters() if p.requires_grad]
    shares = dict.fromkeys(learning, 1.0)
    if recipe.layer_decay < 1:
        shares |= shares_of_rate(network, recipe.layer_decay)
    groups = [
        {
            "params": [p for p in learning if shares[p] == share and (p.ndim > 1) == decayed],
            "weight_decay": recipe.weight_decay if decayed else 0.0,
            "share": share,
        }
        for share in sorted({shares[p] for p in learning})
        for decayed in (True, False)
    ]
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """The rate of the classifier; other parts take their share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers, by `number of the parameter/name`."""
    return {
        f"{number}/{name}": torch.as_tensor(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser, fresh for the same network, what `optimizer_tensors` took."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, kind = name.partition("/")
        like = parameters[int(number)]
        # In the parameter's order in memory, which fused optimisers take for granted.
        own = torch.empty_like(like).copy_(value) if value.shape == like.shape else value.clone()
        state.setdefault(int(number), {})[kind] = own
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
