"""Scripts beside exported files go from pictures to classes where autoscale is not to be had."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from autoscale.aspect import SQUARE, Aspect
from autoscale.datasets.pictures.preparation import OURS, Area, Preparation, ours
from autoscale.distribution import missing
from autoscale.models.export import export
from autoscale.models.formats.use import script_name
from autoscale.models.inference.predict import predict
from autoscale.models.load import Model, load_model
from autoscale.network.build import build
from tests.models.kinds import KINDS, scene
from tests.models.networks import saved, telling
from tests.quantization.designs import LITE

CLASSES = ("one", "two's", "three", "four")
IMAGENET = Preparation(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))
#: A way to run scripts in which autoscale is not to be had: what each says, how it ends, and the
#: logits of its last picture.
_ALONE = """
import contextlib, io, json, runpy, sys
import numpy as np
sys.modules["autoscale"] = None
ends = []
for script, pictures in json.load(sys.stdin):
    sys.argv = [script, *pictures]
    end, logits = None, None
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            made = runpy.run_path(script, run_name="__main__")
            logits = np.ravel(made["logits"]).tolist()
        except SystemExit as problem:
            end = problem.code
    ends.append((said.getvalue().splitlines(), end, logits))
print(json.dumps(ends))
"""


class Run(NamedTuple):
    """A format's script on pictures."""

    folder: Path
    format: str
    pictures: list[Path]


class End(NamedTuple):
    """What a script printed, its exit status, and the logits of its last picture."""

    lines: list[str]
    status: str | None
    logits: list[float] | None


def ends(runs: Sequence[Run]) -> list[End]:
    """How each script ends, in one fresh process for all of them."""
    asked = [
        (str(one.folder / script_name(one.format)), [str(path) for path in one.pictures])
        for one in runs
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-c", _ALONE],
        input=json.dumps(asked), cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [End(*one) for one in json.loads(done.stdout)]


def said(run: Run, end: End) -> list[str]:
    """What a script says of each picture."""
    assert end.status is None, end.status
    pairs = zip(end.lines, run.pictures, strict=True)
    return [line.removeprefix(f"{path}: ") for line, path in pairs]


def answers(*runs: Run) -> list[list[str]]:
    """What scripts say of each picture."""
    return [said(run, end) for run, end in zip(runs, ends(runs), strict=True)]


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


PREPARATIONS = {
    "even": ours(3),
    "grey": ours(1),
    "imagenet": IMAGENET,
    "rectangles": replace(OURS, aspect=Aspect(4, 3)),
}


def model_of(folder: Path, preparation: Preparation, *, seed: int = 0) -> Model:
    """A network for pictures so prepared, that tells classes apart."""
    design = replace(LITE, channels=preparation.channels, aspect=preparation.aspect)
    torch.manual_seed(seed)
    seen = torch.randn(16, design.channels, *design.image_size)
    network = telling(build(design), seen)
    return load_model(saved(folder, design, network, classes=CLASSES, preparation=preparation))


class Exported(NamedTuple):
    """A network, what the script of each format says of pictures, and the reference's logits."""

    model: Model
    told: dict[str, list[str]]
    logits: dict[str, list[float] | None]  # of the scripts for the reference picture
    expected: list[float]  # those that are written beside it


@pytest.fixture(scope="module")
def named(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """A network for each preparation, and one without names of classes for two pictures."""
    wanted = {"torch-export": None, "onnx": "export", "litert": "litert", "openvino": "openvino",
              "ncnn": "ncnn"}  # fmt: skip
    formats = [name for name, extra in wanted.items() if extra is None or not missing(extra)]
    nameless = tmp_path_factory.mktemp("nameless")
    models = {"nameless": load_model(saved(nameless, LITE))}
    export(models["nameless"], nameless / "out", formats=["torch-export"])
    folders = {"nameless": nameless / "out"}
    runs = {("nameless", "torch-export"): Run(nameless / "out", "torch-export", pictures[:2])}
    for name, preparation in PREPARATIONS.items():
        folder = tmp_path_factory.mktemp(name)
        models[name] = model_of(folder, preparation)
        folders[name] = folder / "out"
        export(models[name], folders[name], formats=formats)
        runs |= {(name, format): Run(folders[name], format, pictures) for format in formats}
    references = [run._replace(pictures=[run.folder / "reference.png"]) for run in runs.values()]
    found = ends([*runs.values(), *references])
    told = {key: said(run, end) for (key, run), end in zip(runs.items(), found, strict=False)}
    logits = {key: end.logits for key, end in zip(runs, found[len(runs) :], strict=True)}
    return {
        name: Exported(
            model,
            {format: lines for (of, format), lines in told.items() if of == name},
            {format: own for (of, format), own in logits.items() if of == name},
            json.loads((folders[name] / "reference.json").read_text("utf-8"))["logits"],
        )
        for name, model in models.items()
    }


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_scripts_name_what_predict_names(
    preparation: str,
    pictures: list[Path],
    named: dict[str, Exported],
) -> None:
    model, told = named[preparation].model, named[preparation].told
    table = predict(model, pictures, top=2).table
    first = table[table["rank"] == 1]
    sure = [a - b > 0.02 for a, b in table["probability"].to_numpy().reshape(-1, 2)]
    assert sum(sure) > len(pictures) / 2
    assert first["class"].nunique() > 1
    assert "torch-export" in told
    for name, found in told.items():
        wrong = [
            (name, path.name, answer)
            for path, answer, expected, clear in zip(
                pictures, found, first["class"], sure, strict=True
            )
            if clear and answer != expected
        ]
        assert wrong == []


@pytest.mark.parametrize("preparation", [*PREPARATIONS, "nameless"])
def test_scripts_compute_the_logits_of_the_reference(
    preparation: str, named: dict[str, Exported]
) -> None:
    one = named[preparation]
    # Where a runtime computes in less than float32, they differ by 0.003 and more.
    for name, logits in one.logits.items():
        assert logits == pytest.approx(one.expected, abs=3e-4), name


AREAS: dict[str, tuple[int, Area, Aspect]] = {
    "padded": (3, "padded", SQUARE),
    "bands": (5, "squashed", SQUARE),
    "tall": (3, "padded", Aspect(3, 4)),
    "wide": (3, "squashed", Aspect(4, 3)),
    "tall bands": (5, "centre-square", Aspect(3, 4)),
    "wide bands": (5, "padded", Aspect(3, 1)),
}


@pytest.fixture(scope="module")
def shaped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Model, Run]]:
    """Networks of areas, shapes and bands, exported, with pictures for each."""
    found = {}
    for name, (channels, area, aspect) in AREAS.items():
        folder = tmp_path_factory.mktemp("shaped")
        white = replace(ours(channels), area=area, white_level=4095, aspect=aspect)
        model = model_of(folder, white, seed=4)  # one that sees several classes
        export(model, folder / "out", formats=["torch-export"])
        paths = []
        random = np.random.default_rng(0)
        for number in range(16):
            path = folder / (f"{number}.png" if channels == 3 else f"{number}.npy")
            if channels == 3:
                scene(60, 34, seed=number).save(path)
            else:
                bands = random.integers(0, 4096, (5, 4, 7)).repeat(9, axis=1).repeat(6, axis=2)
                turned = bands if number % 2 else np.moveaxis(bands, 0, -1)
                np.save(path, turned.astype(np.uint16))
            paths.append(path)
        found[name] = (model, Run(folder / "out", "torch-export", paths))
    return found


@pytest.fixture(scope="module")
def unreadable(
    shaped: dict[str, tuple[Model, Run]], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Run, str]]:
    """Scripts with a file that they read and one that they cannot, and what they say of it."""
    folder = tmp_path_factory.mktemp("unreadable")
    bands, colours = shaped["bands"][1], shaped["padded"][1]
    good, picture = bands.pictures[0], colours.pictures[0]
    text, few, floats, gone = (
        folder / name for name in ("text.png", "few.npy", "floats.npy", "gone.npy")
    )
    text.write_text("no picture")
    np.save(few, np.zeros((4, 9, 9), np.uint8))
    np.save(floats, np.zeros((5, 9, 9)))
    return [
        (bands._replace(pictures=[good, picture]), "the magic string is not correct"),
        (bands._replace(pictures=[good, few]),
         "it has the shape (4, 9, 9); give .npy files of 5 bands"),
        (bands._replace(pictures=[good, floats]),
         "its numbers are float64, not uint8 or uint16; give .npy files of 5 bands"),
        (bands._replace(pictures=[good, gone]),
         f"{gone}: No such file or directory; give .npy files of 5 bands"),
        (colours._replace(pictures=[picture, text]), "cannot identify image file"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def ends_of_shaped(
    shaped: dict[str, tuple[Model, Run]], unreadable: list[tuple[Run, str]]
) -> list[End]:
    """How all these scripts end."""
    return ends([*(run for _, run in shaped.values()), *(run for run, _ in unreadable)])


@pytest.mark.parametrize("name", AREAS)
def test_scripts_take_the_area_and_the_bands_of_the_network(
    name: str,
    shaped: dict[str, tuple[Model, Run]],
    ends_of_shaped: list[End],
) -> None:
    model, run = shaped[name]
    table = predict(model, run.pictures, top=1).table
    assert table["class"].nunique() > 1
    assert said(run, ends_of_shaped[list(AREAS).index(name)]) == list(table["class"])


def test_what_a_script_cannot_read_is_said_in_one_line(
    unreadable: list[tuple[Run, str]], ends_of_shaped: list[End]
) -> None:
    of_these = ends_of_shaped[len(AREAS) :]
    for (run, why), (lines, end, _) in zip(unreadable, of_these, strict=True):
        assert len(lines) == 1  # what comes before is answered
        assert end is not None
        assert end.startswith(f"{run.pictures[1]}: ")
        assert why in end
        assert "\n" not in end


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
    (found,) = answers(Run(tmp_path / "out", name, paths))
    first = predict(model, paths, top=1).table["class"]
    agreed = sum(one == other for one, other in zip(found, first, strict=True))
    assert agreed >= 0.8 * len(paths)


def test_a_network_without_names_of_classes_is_answered_by_their_numbers(
    pictures: list[Path], named: dict[str, Exported]
) -> None:
    model, told = named["nameless"].model, named["nameless"].told
    assert told["torch-export"] == list(predict(model, pictures[:2], top=1).table["class"])
