"""One donor that gives weights to many networks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from autoscale.design.architecture import Architecture, Head
from autoscale.network.build import build
from autoscale.network.inheritance import donor as donor_module
from autoscale.network.inheritance.donor import Donor, Recent
from autoscale.network.inheritance.inherit import inherit, take_over
from tests.network.inheritance.test_inherit import SMALL, images, staged, trained

NARROW = staged(replace(SMALL, head=Head(width=8)), 1, width=8)
CUT = (NARROW, staged(NARROW, 2, expand_ratio=2), NARROW, staged(SMALL, 2, width=16))


def given_by(donor: Donor, design: Architecture, pixels: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(0)
    network = build(design)
    seen = donor.observed(pixels.shape[-1], lambda: pixels)
    take_over(network, design, donor, channels="rebuild", observed=seen)
    return network.state_dict()


def test_what_a_donor_keeps_changes_no_bit_of_what_it_gives() -> None:
    state, pixels = trained(SMALL).state_dict(), images(12)
    donor = Donor(state, SMALL)
    for design in CUT:
        found = given_by(donor, design, pixels)
        alone = inherit(state, SMALL, design, channels="rebuild", images=pixels).network
        for name, value in alone.state_dict().items():
            assert torch.equal(found[name], value), name


def test_a_donor_looks_at_images_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {"input_moments": 0, "arriving": 0, "reduce_channels": 0}
    for name in counted:
        work = getattr(donor_module, name)

        def noted(*given: object, work: object = work, name: str = name) -> object:
            counted[name] += 1
            return work(*given)  # type: ignore[operator]

        monkeypatch.setattr(donor_module, name, noted)
    donor, pixels = Donor(trained(SMALL).state_dict(), SMALL), images(12)
    given_by(donor, NARROW, pixels)
    once = dict(counted)
    assert once["input_moments"] == once["arriving"] == 1
    given_by(donor, NARROW, pixels)
    assert counted == once
    given_by(donor, staged(NARROW, 2, expand_ratio=2), pixels)
    assert counted["input_moments"] == counted["arriving"] == 1
    assert counted["reduce_channels"] > once["reduce_channels"]


def test_a_donor_without_room_for_two_sizes_still_gives_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(donor_module, "KEPT", 1)
    state, pixels = trained(SMALL).state_dict(), images(12)
    donor = Donor(state, SMALL)
    first = given_by(donor, NARROW, pixels)
    given_by(donor, NARROW, pixels[..., :8, :8])
    again = given_by(donor, NARROW, pixels)
    assert all(torch.equal(value, again[name]) for name, value in first.items())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 30))
def test_recent_results_keep_to_their_room_but_for_the_last(keys: list[int], most: int) -> None:
    recent: Recent[int, int] = Recent(lambda value: value, most=most)
    for key in keys:
        assert recent.get(key, lambda key=key: key) == key  # type: ignore[misc]
        held = list(recent._found)
        assert held[-1] == key
        assert len(held) == 1 or sum(held) <= most
