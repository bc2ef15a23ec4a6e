"""The folder for OptunaHub, loaded as `optunahub.load_local_module` loads one."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import optuna
import pytest
import yaml

from autoscale import distribution
from autoscale.search.samplers.guided import GuidedSampler

ROOT = Path(__file__).parents[2] / "experiments" / "optunahub" / "package"
PACKAGE = "samplers/autoscale_guided"
FOLDER = ROOT / PACKAGE


def load_from(folder: Path) -> ModuleType:
    """A folder with an `__init__.py` as a module of a name that nothing else has."""
    name = f"optunahub_registry.package.{PACKAGE.replace('/', '.')}"
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package() -> Iterator[ModuleType]:
    loaded = load_from(FOLDER)
    yield loaded
    del sys.modules[loaded.__name__]


def test_the_folder_gives_a_sampler_that_searches(package: ModuleType) -> None:
    assert package.GuidedSampler is GuidedSampler
    assert all(hasattr(package, name) for name in package.__all__)
    study = optuna.create_study(sampler=package.GuidedSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=12)
    assert study.best_value < 0.1


def test_the_example_runs(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = ModuleType("optunahub")
    hub.load_module = lambda package: load_from(ROOT / package)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optunahub", hub)
    text = (FOLDER / "example.py").read_text(encoding="utf-8").replace("n_trials=30", "n_trials=8")
    exec(compile(text, "example.py", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.startswith("[[")


def test_the_page_has_the_heading_that_the_registry_asks_for() -> None:
    _, heading, page = (FOLDER / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    told = yaml.safe_load(heading)
    assert told.keys() == {
        "author", "title", "description", "tags", "optuna_versions", "license",
    }  # fmt: skip
    assert "sampler" in told["tags"]
    assert [part for part in ("Abstract", "APIs", "Example") if f"\n## {part}\n" not in page] == []


def test_the_folder_asks_for_the_package_and_brings_a_licence() -> None:
    asked = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert asked == [distribution.NAME]
    assert "Apache License" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
