"""Whose weights a file holds, told from names and shapes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autoscale.design.published import published
from autoscale.network.build import build
from autoscale.network.inheritance.origin import fits, published_origin
from autoscale.network.naming import lukemelas_names
from autoscale.network.weights import to_timm
from tests.network.inheritance.test_inherit import SMALL, trained, widened

LITE0 = published("efficientnet-lite0")


def test_weights_fit_their_own_design_whatever_their_classes_and_no_other() -> None:
    state = trained(SMALL).state_dict()
    assert fits(state, SMALL)
    assert fits(state, replace(SMALL, num_classes=9))
    assert not fits(state, widened(SMALL, 4))
    assert not fits(state, LITE0)
    assert not fits(state | {"more": torch.zeros(1)}, SMALL)


@pytest.mark.parametrize("names", ["ours", "timm's", "EfficientNet-PyTorch's"])
@pytest.mark.parametrize("classes", [1000, 7, None])
def test_a_published_network_is_known_by_its_weights(names: str, classes: int | None) -> None:
    state = build(replace(LITE0, num_classes=classes or 1000)).state_dict()
    if classes is None:
        state = {n: v for n, v in state.items() if not n.startswith("head.classifier")}
    if names == "timm's":
        state = to_timm(state)
    elif names != "ours":
        renamed = lukemelas_names(state)
        # Old checkpoints count no steps.
        state = {renamed[n]: v for n, v in state.items() if not n.endswith("num_batches_tracked")}
    assert published_origin(state) == "efficientnet-lite0"


def test_weights_of_nothing_published_have_no_origin() -> None:
    assert published_origin(trained(SMALL).state_dict()) is None
