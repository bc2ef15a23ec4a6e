"""The wheel and the source distribution, installed where nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from autoscale.distribution import NAME, VERSION, install

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
#: Neither the checkout nor the environment that runs the tests may help.
CLEAN = {
    key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))
}
WHEEL = f"{NAME.replace('-', '_')}-{VERSION}-py3-none-any.whl"
SOURCES = f"{NAME.replace('-', '_')}-{VERSION}.tar.gz"
TYPED = """
from pathlib import Path

import autoscale

model: autoscale.Model = autoscale.load_model("best.safetensors")
found = autoscale.predict(model, [Path("a.jpg")], top=2, resolution=64)
accuracy: float = autoscale.evaluate("best.safetensors", data="photos").accuracy
weights: Path = autoscale.train("efficientnet-b0", data="photos", epochs=1).weights
macs: float = autoscale.count("efficientnet-b0").cost.macs
verdicts: list[str] = [finding.verdict for finding in autoscale.doctor()]
front = autoscale.pareto_front
"""
WRONG = """
import autoscale

autoscale.trian("efficientnet-b0")
autoscale.TrainSettings(network="efficientnet-b0", epochs="one")
autoscale.SearchSettings(tirals=3)
"""


def run(command: list[object], *, folder: Path, seconds: float = 900) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=CLEAN, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(folder: Path) -> Path:
    """The Python of a new, empty virtual environment."""
    run([sys.executable, "-m", "venv", folder], folder=folder.parent)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what builds the project."""
    python = environment(tmp_path_factory.mktemp("builder") / "venv")
    # A broken pip is no index out of reach.
    run([python, "-m", "pip", "--version"], folder=python.parent)
    needed = PROJECT["build-system"]["requires"]
    command = [python, "-m", "pip", "install", "--quiet", "--retries", "1", *needed]
    done = subprocess.run(command, env=CLEAN, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"the package index is out of reach: {done.stderr.splitlines()[-1]}")
    return python


@pytest.fixture(scope="module")
def built(builder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both distributions."""
    folder = tmp_path_factory.mktemp("built")
    run([builder, "-m", "hatchling", "build", "--directory", folder], folder=ROOT)
    assert {path.name for path in folder.iterdir()} == {WHEEL, SOURCES}
    return folder


@pytest.fixture(scope="module", params=[WHEEL, SOURCES])
def installed(
    request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The Python of an environment that holds one distribution and what it requires."""
    python = environment(tmp_path_factory.mktemp("installed") / "venv")
    pinned = ["--constraint", ROOT / "constraints.txt"]
    run([python, "-m", "pip", "install", "--quiet", *pinned, built / request.param], folder=built)
    return python


def test_the_sources_make_the_same_wheel(builder: Path, built: Path, tmp_path: Path) -> None:
    with tarfile.open(built / SOURCES) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    run([builder, "-m", "hatchling", "build", "--target", "wheel"], folder=unpacked)
    contents = []
    for wheel in (built / WHEEL, unpacked / "dist" / WHEEL):
        with zipfile.ZipFile(wheel) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    assert contents[0] == contents[1]
    shipped = {"py.typed", "search_spaces/tiny.yaml", "devices/presets/esp32-s3.yaml"}
    assert {f"autoscale/{name}" for name in shipped} <= set(contents[0])
    assert (unpacked / "tests" / "test_house.py").exists()
    assert (unpacked / "docs" / "commands" / "train.md").exists()


def test_a_new_environment_searches_counts_and_answers(installed: Path, tmp_path: Path) -> None:
    autoscale = installed.parent / "autoscale"
    run([installed, "-m", "pip", "check"], folder=tmp_path)
    assert "Usage: autoscale" in run([autoscale, "--help"], folder=tmp_path)
    shown = json.loads(run([autoscale, "spaces", "--json"], folder=tmp_path))
    assert [one["space"] for one in shown["spaces"]] == sorted(
        path.stem for path in (ROOT / "search_spaces").glob("*.yaml")
    )
    counted = json.loads(run([autoscale, "count", "efficientnet-b0", "--json"], folder=tmp_path))
    assert counted["macs"] == 385_814_752
    script = (
        "import autoscale; print(autoscale.count('efficientnet-b0').cost.macs); "
        "print(autoscale.__file__); print(autoscale.__version__)"
    )
    macs, place, version = run([installed, "-c", script], folder=tmp_path).splitlines()
    assert int(macs) == counted["macs"]
    assert Path(place).is_relative_to(installed.parents[1])
    assert version == VERSION
    search = ["search-baseline", "--space", "tiny", "--trials", 2, "--epochs", 1, "--limit", 64]
    place = ["--cache", tmp_path / "cache"]
    found = json.loads(run([autoscale, *place, *search, "--run", "run", "--json"], folder=tmp_path))
    assert len(found["trials"]) == 2
    assert (tmp_path / "run" / "search" / "baseline.yaml").exists()


def test_an_extra_that_is_missing_is_named_as_it_is_installed(
    installed: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [installed, "-m", "autoscale", "export", "resnet-18", "out", "--to", "onnx"],
        cwd=tmp_path, env=CLEAN, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert install("export") in done.stderr


@pytest.mark.parametrize("installed", [WHEEL], indirect=True)
def test_type_checkers_see_the_public_names(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed]
    (tmp_path / "typed.py").write_text(TYPED)
    run([*command, "typed.py"], folder=tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG)
    done = subprocess.run(
        [*map(str, command), "wrong.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    lines = [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line]
    assert lines == ["4", "5", "6"], done.stdout
