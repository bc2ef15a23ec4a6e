"""What is trained is what is saved: for every way in and out, the same answers.

Ways in: our own weights, and the same network under other libraries' names in their styles. Ways
out: the accuracy that training prints, `evaluate` of the file, and the exported files.
"""

from __future__ import annotations

import io
import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from autoscale.cli.app import main
from autoscale.datasets.data import load
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.jobs.train.job import train
from autoscale.models.export import export
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.inference.passes import to_network_input
from autoscale.models.load import load_model
from autoscale.network.build import build
from autoscale.network.interchange.onnx import onnx_logits
from autoscale.network.naming import (
    lukemelas_names,
    mobilenet_v2_names,
    resnet_names,
    timm_names,
    torchvision_names,
)
from autoscale.network.weights import STYLES, Style, load_weights, to_timm
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.training.batches import to_input

INVERTED = Architecture(
    resolution=18,
    stem=Stem(width=8),
    stages=(
        Stage(width=8, expand_ratio=1),
        Stage(width=16, expand_ratio=2, stride=2, depth=2, kernel=5),
        Stage(width=16, expand_ratio=4, stride=2),
    ),
    head=Head(width=16),
    num_classes=3,
)
FUSED = replace(
    INVERTED,
    stages=(Stage(block="fused-mbconv", width=8, se_ratio=0, stride=2), *INVERTED.stages[1:]),
)
PLAIN = replace(
    INVERTED,
    resolution=17,
    stages=tuple(replace(s, se_ratio=0, activation="relu6") for s in INVERTED.stages),
)
RESIDUAL = replace(
    INVERTED,
    stem=Stem(width=8, kernel=7, pool=True),
    stages=(
        Stage(block="bottleneck", width=16, activation="relu"),
        Stage(block="basic", width=16, stride=2, activation="relu", depth=2),
    ),
    head=Head(width=0),
)
HALF, ODD = (0.5, 0.5, 0.5), (0.4, 0.5, 0.6)


def ours(names: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: name for name in names}


#: A way in: the design, whose names the file has, what the header says, what is asked, and what
#: the weights then expect.
WAYS = {
    "fresh": (INVERTED, None, {}, {}, Style(), Preparation()),
    "ours": (INVERTED, ours, {}, {}, Style(), Preparation()),
    "header": (
        INVERTED, ours,
        {"style": STYLES["tf"], "preparation": Preparation(mean=ODD, deviation=ODD)},
        {"interpolation": "bicubic"}, STYLES["tf"],
        Preparation(mean=ODD, deviation=ODD, interpolation="bicubic"),
    ),
    "timm": (
        FUSED, timm_names, {}, {"style": "timm", "mean": HALF, "deviation": ODD}, STYLES["timm"],
        Preparation(mean=HALF, deviation=ODD),
    ),
    "tf": (
        INVERTED, timm_names, {}, {"style": "tf"}, STYLES["tf"],
        Preparation(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
    ),
    "lukemelas": (
        INVERTED, lukemelas_names, {}, {"mean": HALF, "deviation": HALF}, STYLES["tf"],
        Preparation(mean=HALF, deviation=HALF),
    ),
    "torchvision": (
        INVERTED, torchvision_names, {}, {"mean": ODD, "deviation": ODD}, STYLES["timm"],
        Preparation(mean=ODD, deviation=ODD),
    ),
    "mobilenet": (
        PLAIN, mobilenet_v2_names, {},
        {"mean": ODD, "deviation": ODD, "interpolation": "bicubic"}, STYLES["timm"],
        Preparation(mean=ODD, deviation=ODD, interpolation="bicubic"),
    ),
    "resnet": (
        RESIDUAL, resnet_names, {}, {"style": "tf", "mean": HALF, "deviation": HALF}, STYLES["tf"],
        Preparation(mean=HALF, deviation=HALF),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patches of colour, oblong and larger than the networks' input, with a split."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("photos")
    for split, count in (("train", 8), ("validation", 12)):
        for number, name in enumerate(("a", "b", "c")):
            (folder / split / name).mkdir(parents=True)
            for image in range(count):
                patches = rng.integers(0, 256, (4, 3, 3)) // (1 + np.arange(3) * (number % 2))
                pixels = patches.astype(np.uint8).repeat(10, 0).repeat(11, 1)
                Image.fromarray(pixels).save(folder / split / name / f"{image}.png")
    return folder


def weights_for(way: str, photos: Path, folder: Path) -> Path | None:
    """A file of random weights that comes in that way."""
    design, naming, header, _, style, preparation = WAYS[way]
    if naming is None:
        return None
    torch.manual_seed(3)
    network = build(design, **style.options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.running_mean.data.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
            module.running_var.data.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    classifier = network.head.classifier
    with torch.inference_mode():  # no class is far ahead of the others: answers hang on everything
        images = load(str(photos), size=design.resolution, preparation=preparation).train
        logits = network.eval()(
            to_input(images.pixels, resolution=design.resolution, preparation=preparation)
        )
    classifier.weight.data *= 3 / logits.std(0, keepdim=True).T
    classifier.bias.data = -(logits.mean(0) - classifier.bias) * 3 / logits.std(0)
    names = naming(network.state_dict())
    state = {names[name]: value for name, value in network.state_dict().items()}
    path = folder / "start.safetensors"
    if header:
        write_weights(path, state, Header(**header))
    else:
        path = path.with_suffix(".pth")
        torch.save({"model": state}, path)
    return path


def trained(way: str, photos: Path, folder: Path, kernels: str) -> tuple[Path, float]:
    """Train for an epoch that changes little; the best weights, and the accuracy that was told."""
    design, _, _, asked, _, _ = WAYS[way]
    file = folder / "design.yaml"
    file.write_text(design.to_yaml())
    start = weights_for(way, photos, folder)
    found = train(
        str(file), folder / "run", data=str(photos), epochs=1, batch_size=8, recipe="proxy",
        kernels=kernels, weights=str(start) if start else None, **asked,
    )  # fmt: skip
    assert found.best.accuracy is not None
    return found.weights, found.best.accuracy


@pytest.mark.parametrize("kernels", ["none", "torch"])
@pytest.mark.parametrize("way", WAYS)
def test_what_training_tells_is_what_the_file_gives(
    way: str, kernels: str, photos: Path, tmp_path: Path
) -> None:
    _, _, _, _, style, preparation = WAYS[way]
    best, told = trained(way, photos, tmp_path, kernels)
    model = load_model(str(best))
    assert (model.style, model.preparation) == (style, preparation)
    assert model.header.classes == ("a", "b", "c")
    assert model.notes == ()
    found = evaluate_model(model, str(photos), split="validation")
    assert found.accuracy == told
    # An independent reading of the file: its style, its state dict, its pictures.
    held = read_weights(best)
    assert (held.header.style, held.header.preparation) == (style, preparation)
    network = build(WAYS[way][0], **style.options).eval()
    load_weights(network, held.state)
    images = load(str(photos), size=WAYS[way][0].resolution, preparation=preparation).validation
    mean, deviation = (
        torch.tensor(v).view(3, 1, 1) for v in (preparation.mean, preparation.deviation)
    )
    pixels = (torch.from_numpy(images.pixels).permute(0, 3, 1, 2) / 255 - mean) / deviation
    with torch.inference_mode():
        logits = network(pixels)
        theirs = model.network(to_network_input(images.pixels, model))
    assert torch.allclose(logits, theirs, atol=1e-5)
    guesses = logits.argmax(1).numpy()
    assert float((guesses == images.labels).mean()) == told
    assert way == "fresh" or len({*guesses.tolist()}) > 1
    loss = functional.cross_entropy(logits, torch.from_numpy(images.labels))
    assert found.loss == pytest.approx(float(loss), rel=1e-4)


def test_styles_and_preparations_matter_here(photos: Path, tmp_path: Path) -> None:
    best, _ = trained("tf", photos, tmp_path, "none")
    images = load(str(photos), size=18).validation
    logits = []
    for options in ({}, {"style": "autoscale"}, {"mean": HALF}):
        model = load_model(str(best), **options)
        with torch.inference_mode():
            logits.append(model.network(to_network_input(images.pixels, model)))
    for other in logits[1:]:
        assert float((logits[0] - other).abs().max()) > 1e-3


def _answers(folder: Path) -> dict[str, Callable[[Tensor], Tensor]]:
    """What every exported file answers that can be run."""
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    source = types.ModuleType("network")
    source.__file__ = str(folder / "network.py")
    exec(compile((folder / "network.py").read_text(), "network.py", "exec"), source.__dict__)
    found["python"] = source.load()
    program = torch.export.load(io.BytesIO((folder / "model.pt2").read_bytes())).module()
    found["torch-export"] = program
    if (folder / "model.onnx").exists():
        content = (folder / "model.onnx").read_bytes()
        found["onnx"] = lambda x: onnx_logits(content, x)
    for name in ("model.safetensors", "timm.safetensors"):
        if (folder / name).exists():
            found[name] = load_model(str(folder / name)).network
    return found


@pytest.mark.parametrize(
    ("way", "formats"),
    [
        ("tf", ["python", "torch-export", "timm"]),
        ("header", ["python", "torch-export"]),
        *(pytest.param(way, (), marks=pytest.mark.slow) for way in WAYS if way != "fresh"),
    ],
)
def test_every_exported_file_answers_like_the_trained_network(
    way: str, formats: Sequence[str], photos: Path, tmp_path: Path
) -> None:
    best, _ = trained(way, photos, tmp_path, "none")
    model = load_model(str(best))
    export(model, tmp_path / "out", formats=formats)
    images = load(str(photos), size=model.resolution, preparation=model.preparation).validation
    pixels = to_network_input(images.pixels[:4], model)
    with torch.inference_mode():
        expected = model.network(pixels)
        answers = {name: answer(pixels) for name, answer in _answers(tmp_path / "out").items()}
    assert len(answers) >= 3
    for name, logits in answers.items():
        assert torch.allclose(logits, expected, rtol=0, atol=1e-4), name


def test_bare_names_of_timms_give_the_same_answers_once_it_is_said_what_they_expect(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, told = trained("ours", photos, tmp_path, "none")
    bare = tmp_path / "bare.pth"
    torch.save(to_timm(load_model(str(best)).network.state_dict()), bare)
    command = ["evaluate", str(tmp_path / "design.yaml"), "--weights", str(bare), "--data"]
    command += [str(photos), "--split", "validation", "--json"]
    losses = []
    for said in ([], ["--mean", "0.5", "--deviation", "0.25,0.25,0.25"], ["--mean", "0.4"]):
        assert main([*command, "--style", "autoscale", *said]) == 0
        losses.append(json.loads(capsys.readouterr().out))
    assert losses[0]["accuracy"] == losses[1]["accuracy"] == told
    assert losses[0]["loss"] == losses[1]["loss"] != losses[2]["loss"]
    assert main([*command, "--style", "timm"]) == 0
    assert "ImageNet's are taken, mean 0.485, 0.456, 0.406" in capsys.readouterr().err
    assert main(command) == 2
    assert "add --style tf" in capsys.readouterr().err
    assert main([*command, "--style", "timm", "--mean", "0.4"]) == 2
    assert "give both --mean and --deviation" in capsys.readouterr().err
