"""Weights for images in colour, taken over by networks of grey images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Architecture, Stage, Stem
from autoscale.design.published import published
from autoscale.network.build import Network, build
from autoscale.network.inheritance.other_images import in_bands, in_grey
from autoscale.network.weights import to_timm
from autoscale.training.batches import normalised
from tests.models.networks import shaken

MBCONV = replace(published("efficientnet-b0"), resolution=32, num_classes=5)
RESNET = replace(published("resnet-18"), resolution=32, num_classes=5)
CONVNEXT = replace(
    published("convnext-atto"), resolution=32, num_classes=5,
    stages=published("convnext-atto").stages[:2],
)  # fmt: skip
ALIKE = Preparation()
IMAGENET = Preparation(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))


def in_colour(design: Architecture) -> Network:
    torch.manual_seed(1)
    network = build(design)
    shaken(network)
    return network


def answers(network: Network, pixels: Tensor, preparation: Preparation) -> Tensor:
    with torch.no_grad():
        return network(normalised(pixels, preparation))


def grey_network(design: Architecture, colour: Network, preparation: Preparation) -> Network:
    network = build(replace(design, channels=1)).eval()
    network.load_state_dict(summed(colour.state_dict(), design, preparation))
    return network


def summed(
    state: Mapping[str, Tensor], design: Architecture, preparation: Preparation
) -> dict[str, Tensor]:
    grey = preparation.in_grey().normalisation
    return in_grey(state, design, colour=preparation.normalisation, grey=grey)


PIXELS = torch.randint(0, 256, (4, 1, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("design", [MBCONV, RESNET, CONVNEXT], ids=["mbconv", "resnet", "convnext"])
def test_a_grey_picture_gets_the_answer_that_its_copy_in_colour_got(design: Architecture) -> None:
    colour = in_colour(design)
    expected = answers(colour, PIXELS.expand(-1, 3, -1, -1), ALIKE)
    found = answers(grey_network(design, colour, ALIKE), PIXELS, ALIKE.in_grey())
    assert expected.std() > 0.01
    assert torch.allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_other_means_change_nothing_where_no_padding_is_read(norm: str) -> None:
    stem = Stem(width=8, kernel=4, stride=4, norm=norm)  # type: ignore[arg-type]
    design = Architecture(resolution=32, stem=stem, stages=(Stage(width=8),), num_classes=5)
    colour = in_colour(design)
    expected = answers(colour, PIXELS.expand(-1, 3, -1, -1), IMAGENET)
    found = answers(grey_network(design, colour, IMAGENET), PIXELS, IMAGENET.in_grey())
    assert torch.allclose(found, expected, atol=1e-4)


def test_names_of_other_libraries_become_ours() -> None:
    colour = in_colour(MBCONV)
    theirs = summed(to_timm(colour.state_dict()), MBCONV, ALIKE)
    own = summed(colour.state_dict(), MBCONV, ALIKE)
    assert theirs.keys() == own.keys()
    assert all(torch.equal(theirs[name], own[name]) for name in own)


def test_weights_of_one_channel_stay_as_they_are() -> None:
    design = replace(MBCONV, channels=1)
    state = in_colour(design).state_dict()
    found = summed(state, design, ALIKE)
    assert all(torch.equal(found[name], state[name]) for name in state)


# Bands


@pytest.mark.parametrize("design", [MBCONV, RESNET, CONVNEXT], ids=["mbconv", "resnet", "convnext"])
@pytest.mark.parametrize("count", [2, 6])
def test_bands_that_are_all_the_same_get_the_answer_of_such_colours(
    design: Architecture, count: int
) -> None:
    colour = in_colour(design)
    network = build(replace(design, channels=count)).eval()
    network.load_state_dict(in_bands(colour.state_dict(), design, count=count))
    seen = normalised(PIXELS, ALIKE.in_grey())
    with torch.no_grad():
        expected = colour(seen.expand(-1, 3, -1, -1))
        found = network(seen.expand(-1, count, -1, -1))
    assert expected.std() > 0.01
    assert torch.allclose(found, expected, atol=1e-3)


def test_every_band_is_read_alike() -> None:
    found = in_bands(to_timm(in_colour(MBCONV).state_dict()), MBCONV, count=5)
    weight = found["stem.0.weight"]
    assert weight.shape[1] == 5
    assert torch.equal(weight, weight[:, :1].expand(-1, 5, -1, -1))
