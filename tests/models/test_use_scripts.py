"""Scripts beside exported files go from pictures to classes where autoscale is not to be had."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoscale.aspect import SQUARE, Aspect
from autoscale.datasets.pictures.preparation import OURS, Preparation, ours
from autoscale.distribution import missing
from autoscale.models.export import export
from autoscale.models.formats.use import script_name
from autoscale.models.inference.predict import predict
from autoscale.models.load import load_model
from autoscale.network.build import build
from tests.models.kinds import KINDS, scene
from tests.models.networks import saved, telling
from tests.quantization.designs import LITE

CLASSES = ("one", "two's", "three", "four")
IMAGENET = Preparation(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))
#: A way to run a script in which autoscale is not to be had.
_ALONE = """
import runpy, sys
sys.modules["autoscale"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def answers(folder: Path, name: str, pictures: list[Path]) -> list[str]:
    """What a format's script says of each picture, run in a fresh process."""
    script = folder / script_name(name)
    command = [sys.executable, "-I", "-c", _ALONE, script, *pictures]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return [line.removeprefix(f"{path}: ") for line, path in zip(lines, pictures, strict=True)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of every kind but one, and as many again of different scenes."""
    folder = tmp_path_factory.mktemp("kinds")
    # Whole JPEGs are reduced while they are read, which moves the last digits.
    for name, save in KINDS.items():
        save(folder / name)
    for number in range(12):
        scene(60, 50, seed=number).save(folder / f"scene-{number}.png")
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "preparation",
    [ours(3), ours(1), IMAGENET, replace(OURS, aspect=Aspect(4, 3))],
    ids=["even", "grey", "imagenet", "rectangles"],
)
def test_scripts_name_what_predict_names(
    preparation: Preparation, pictures: list[Path], tmp_path: Path
) -> None:
    design = replace(LITE, channels=preparation.channels, aspect=preparation.aspect)
    torch.manual_seed(0)
    seen = torch.randn(16, design.channels, *design.image_size)
    network = telling(build(design), seen)
    file = saved(tmp_path, design, network, classes=CLASSES, preparation=preparation)
    model = load_model(file)
    wanted = {"torch-export": None, "onnx": "export", "litert": "litert", "openvino": "openvino",
              "ncnn": "ncnn"}  # fmt: skip
    formats = [name for name, extra in wanted.items() if extra is None or not missing(extra)]
    export(model, tmp_path / "out", formats=formats)
    table = predict(model, pictures, top=2).table
    first = table[table["rank"] == 1]
    sure = [a - b > 0.02 for a, b in table["probability"].to_numpy().reshape(-1, 2)]
    assert sum(sure) > len(pictures) / 2
    assert first["class"].nunique() > 1
    for name in formats:
        found = answers(tmp_path / "out", name, pictures)
        wrong = [
            (name, path.name, said)
            for path, said, expected, clear in zip(
                pictures, found, first["class"], sure, strict=True
            )
            if clear and said != expected
        ]
        assert wrong == []


@pytest.mark.parametrize(
    ("channels", "area", "aspect"),
    [
        (3, "padded", SQUARE),
        (5, "squashed", SQUARE),
        (3, "padded", Aspect(3, 4)),
        (3, "squashed", Aspect(4, 3)),
        (5, "centre-square", Aspect(3, 4)),
        (5, "padded", Aspect(3, 1)),
    ],
)
def test_scripts_take_the_area_and_the_bands_of_the_network(
    channels: int, area: str, aspect: Aspect, tmp_path: Path
) -> None:
    preparation = replace(
        ours(channels),
        area=area,  # type: ignore[arg-type]
        white_level=4095,
        aspect=aspect,
    )
    design = replace(LITE, channels=channels, aspect=aspect)
    torch.manual_seed(0)
    network = telling(build(design), torch.randn(16, channels, *design.image_size))
    file = saved(tmp_path, design, network, classes=CLASSES, preparation=preparation)
    export(load_model(file), tmp_path / "out", formats=["torch-export"])
    paths = []
    random = np.random.default_rng(0)
    for number in range(16):
        path = tmp_path / (f"{number}.png" if channels == 3 else f"{number}.npy")
        if channels == 3:
            scene(60, 34, seed=number).save(path)
        else:
            bands = random.integers(0, 4096, (5, 4, 7)).repeat(9, axis=1).repeat(6, axis=2)
            np.save(path, (bands if number % 2 else np.moveaxis(bands, 0, -1)).astype(np.uint16))
        paths.append(path)
    table = predict(load_model(file), paths, top=1).table
    assert table["class"].nunique() > 1
    assert answers(tmp_path / "out", "torch-export", paths) == list(table["class"])


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_scripts_of_files_in_int8_run(name: str, photos: Path, tmp_path: Path) -> None:
    extra = "litert" if name == "litert" else "export"
    if lacking := missing(extra):
        pytest.skip(f"needs the extra {extra} ({', '.join(lacking)})")
    torch.manual_seed(0)
    network = telling(build(LITE), torch.randn(16, 3, LITE.resolution, LITE.resolution))
    model = load_model(saved(tmp_path, LITE, network, classes=CLASSES))
    export(model, tmp_path / "out", formats=[name], dtype="int8", data=str(photos))
    paths = sorted(photos.rglob("*.png"))
    found = answers(tmp_path / "out", name, paths)
    first = predict(model, paths, top=1).table["class"]
    agreed = sum(one == other for one, other in zip(found, first, strict=True))
    assert agreed >= 0.8 * len(paths)


def test_a_network_without_names_of_classes_is_answered_by_their_numbers(
    pictures: list[Path], tmp_path: Path
) -> None:
    model = load_model(saved(tmp_path, LITE))
    export(model, tmp_path / "out", formats=["torch-export"])
    found = answers(tmp_path / "out", "torch-export", pictures[:2])
    assert found == list(predict(model, pictures[:2], top=1).table["class"])
