"""What `import autoscale` offers: the command line's answers without the command line."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from safetensors.torch import load_file

import autoscale
from autoscale.cli.app import COMMANDS, main
from autoscale.cli.terminal import records
from autoscale.errors import InvalidSetting
from autoscale.models.load import Model
from autoscale.settings.command import settings_of
from tests.conftest import draw_photos

PACKAGE = Path(autoscale.__file__).parent
DESIGN = """
resolution: 16
stem: {width: 8, stride: 2}
stages:
  - {block: mbconv, width: 16, depth: 1, expand_ratio: 2, stride: 2}
head: {width: 16}
num_classes: 3
"""
SMALL = {"epochs": 1, "batch_size": 16, "kernels": "none"}
FUNCTIONS = [
    name for name in autoscale.__all__ if isinstance(getattr(autoscale, name), FunctionType)
]


# Names


def test_type_checkers_are_told_the_same_homes_as_the_interpreter() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imported, told = {}, {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                imported[alias.name] = f"{node.module}:{alias.name}"
                if alias.asname:  # `as` itself makes it public
                    assert alias.asname == alias.name
                    told[alias.name] = imported[alias.name]
        else:
            assert isinstance(node, ast.Assign)
            (target,) = node.targets
            told[ast.unparse(target)] = imported[ast.unparse(node.value)]
    homes = {
        name: home if ":" in home else f"{home}:{name}" for name, home in autoscale._HOMES.items()
    }
    assert told == homes


def test_no_public_name_is_that_of_a_module() -> None:
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert not modules & set(autoscale.__all__), "the module would hide it once it is imported"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'autoscale' has no attribute 'trian'"):
        autoscale.trian  # noqa: B018


def test_import_autoscale_waits_for_no_library() -> None:
    code = (
        "import sys, autoscale; dir(autoscale); "
        "print({'torch', 'optuna', 'pandas', 'numpy', 'typer'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_it_does(name: str) -> None:
    assert (inspect.getdoc(getattr(autoscale, name)) or "").strip()


# Options

#: Commands, and the public function that answers each.
ANSWERS: dict[str, Callable[..., Any]] = {
    "make": autoscale.make_network,
    "search-baseline": autoscale.search_baseline,
    "check-baseline": autoscale.check_baseline,
    "spaces": autoscale.spaces,
    "boards": autoscale.boards,
    "advise": autoscale.advise,
    "calibrate": autoscale.calibrate,
    "calibrate-w": autoscale.calibrate_w,
    "count": autoscale.count,
    "compare": autoscale.compare,
    "train": autoscale.train,
    "train-family": autoscale.train_family,
    "cut": autoscale.cut,
    "evaluate": autoscale.evaluate,
    "predict": autoscale.predict,
    "export": autoscale.export,
    "quantize": autoscale.quantize,
    "latency": autoscale.latency,
    "status": autoscale.status,
    "weights": autoscale.weights,
    "try-weights": autoscale.try_weights,
    "doctor": autoscale.doctor,
    "report": autoscale.write_report,
    "grid": autoscale.grid_search,
    "family": autoscale.write_family,
}
#: How an answer is shown, what names others, or what a value of the answer takes.
SHOWN = {("advise", "plan"), ("compare", "plot"), ("count", "convention"), ("count", "op_cost"),
         ("count", "per_stage"), ("count", "check"), ("count", "board"), ("boards", "board"),
         ("evaluate", "pairs"),
         ("grid", "plan"), ("grid", "plot"), ("make", "plan"), ("predict", "csv"),
         ("predict", "names"), ("quantize", "layers")}  # fmt: skip
SETTINGS = {command.settings.command: command.settings for command in COMMANDS}


@pytest.mark.parametrize("command", ANSWERS)
def test_the_settings_of_a_command_are_arguments_of_its_function(command: str) -> None:
    offered = inspect.signature(ANSWERS[command]).parameters
    for setting in settings_of(SETTINGS[command]):
        if (command, setting.name) in SHOWN:
            continue
        assert setting.name in offered, setting.name
        argument = offered[setting.name]
        if argument.default is not argument.empty:
            usual = argument.default or None
            told = None if setting.required else setting.default or None
            assert usual == told or str(usual) == str(told), setting.name


def test_what_is_only_shown_is_a_setting_and_no_argument() -> None:
    for command, name in SHOWN:
        assert name in {setting.name for setting in settings_of(SETTINGS[command])}
        assert name not in inspect.signature(ANSWERS[command]).parameters


def test_every_command_has_a_function() -> None:
    assert set(SETTINGS) - set(ANSWERS) == {"demo"}


@pytest.mark.parametrize("command", ANSWERS)
def test_the_options_of_a_command_are_explained_in_its_function(command: str) -> None:
    told = inspect.getdoc(ANSWERS[command]) or ""
    for name in inspect.signature(ANSWERS[command]).parameters:
        assert f"{name}:" in told or f"{name}, " in told or f", {name}" in told, name


# Answers


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs, a design, and a run that trained it for an epoch."""
    folder = tmp_path_factory.mktemp("api")
    photos = draw_photos(folder / "photos")
    (folder / "design.yaml").write_text(DESIGN)
    autoscale.train(folder / "design.yaml", folder / "run", data=photos, **SMALL)
    return folder


@pytest.fixture(scope="module")
def weights(work: Path) -> Path:
    return work / "run" / "train" / "best.safetensors"


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command line with --json and reads what it prints."""

    def run(*arguments: object) -> Any:
        assert main([*map(str, arguments), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return run


def test_train_answers_as_the_command_does(
    work: Path, weights: Path, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    # The run is finished: the call only reads it again.
    found = autoscale.train(work / "design.yaml", work / "run", data=work / "photos", **SMALL)
    told = answer(
        "train", work / "design.yaml", "--run", tmp_path, "--data", work / "photos",
        "--epochs", 1, "--batch-size", 16, "--kernels", "none",
    )  # fmt: skip
    assert found.weights == weights
    assert (found.best.number, found.best.accuracy) == (
        told["best_epoch"], told["validation_accuracy"],
    )  # fmt: skip
    assert (found.macs, found.params, found.name) == (told["macs"], told["params"], told["name"])
    assert found.test_accuracy == told["test_accuracy"]
    one, other = autoscale.load_model(weights), autoscale.load_model(told["weights"])
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    assert all(theirs[name].equal(value) for name, value in ours.items())


def test_evaluate_answers_as_the_command_does(
    work: Path, weights: Path, answer: Callable[..., Any]
) -> None:
    found = autoscale.evaluate(weights, data=work / "photos", split="all")
    told = answer("evaluate", weights, "--data", work / "photos", "--split", "all")
    for name in ("split", "images", "accuracy", "loss"):
        assert getattr(found, name) == told[name]
    assert records(found.classes) == told["classes"]


def test_predict_answers_as_the_command_does(
    work: Path, weights: Path, answer: Callable[..., Any]
) -> None:
    images = sorted((work / "photos").glob("*/0*.png"))
    found = autoscale.predict(str(weights), images, top=2)
    told = answer("predict", *images, "--model", weights, "--top", 2)
    assert records(found.table) == told["predictions"]
    assert len(told["predictions"]) == 2 * len(images)


def test_export_answers_as_the_command_does(
    weights: Path, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    found = autoscale.export(weights, tmp_path / "a", formats=["safetensors", "python"])
    told = answer("export", weights, tmp_path / "b", "--to", "safetensors", "--to", "python")
    for file, other in zip(found.files, told["files"], strict=True):
        assert (file.path.name, file.bytes) == (Path(other["path"]).name, other["bytes"])
    ours, theirs = (load_file(tmp_path / one / "model.safetensors") for one in "ab")
    assert all(theirs[name].equal(value) for name, value in ours.items())
    source = "network.py"
    assert (tmp_path / "a" / source).read_text() == (tmp_path / "b" / source).read_text()
    assert str(found.card.name) == Path(told["card"]).name


def test_count_answers_as_the_command_does(answer: Callable[..., Any]) -> None:
    found = autoscale.count("efficientnet-b0", resolution=64)
    told = answer("count", "efficientnet-b0", "--resolution", 64, "--convention", "biases")
    assert found.row("biases").items() <= told.items()
    assert found.cost.macs == told["macs"]


def test_compare_and_spaces_answer_as_the_commands_do(
    tmp_path: Path, answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale.jobs.search.spaces.USUAL", 20)
    found = autoscale.compare(["tinynet", "resnet-18"], convention="fvcore")
    told = answer("compare", "tinynet", "resnet-18", "--convention", "fvcore",
                  "--plot", tmp_path / "a.svg")  # fmt: skip
    assert records(found) == told["networks"]
    autoscale.draw_sizes(found, str(tmp_path / "b.svg"))
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()
    assert records(autoscale.spaces()) == answer("spaces")["spaces"]


def test_latency_answers_as_the_command_does(work: Path, answer: Callable[..., Any]) -> None:
    design = work / "design.yaml"
    found = autoscale.latency([design], repeats=5, batch=2)
    (told,) = answer("latency", design, "--repeats", 5, "--batch", 2)["networks"]
    timed = {"median_ms", "low_ms", "high_ms", "standard_error_ms", "steady_ms", "settled",
             "images_per_second", "ratio", "warm_up"}  # fmt: skip
    (row,) = records(found.table)
    assert set(row) == set(told) > timed
    assert {key: row[key] for key in row if key not in timed} == {
        key: told[key] for key in told if key not in timed
    }


def test_status_doctor_and_report_answer_as_the_commands_do(
    work: Path, tmp_path: Path, answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale.inspection.doctor.load_kernels", lambda name: None)
    run, photos = work / "run", work / "photos"
    assert json.loads(json.dumps(autoscale.status(run).to_dict())) == answer("status", run)
    told = answer("doctor", "--run", run, "--data", photos)["findings"]
    found = [finding.to_dict() for finding in autoscale.doctor(run=run, data=photos)]
    # Free space and load change from second to second.
    assert [(one["subject"], one["verdict"]) for one in found] == [
        (one["subject"], one["verdict"]) for one in told
    ]
    page = autoscale.write_report(run, tmp_path / "page.html")
    told = answer("report", "--run", run)
    assert Path(told["file"]) == run / "report.html"
    assert page.read_text() == (run / "report.html").read_text()


# Values instead of names


def test_a_loaded_network_answers_as_its_file_does(work: Path, weights: Path) -> None:
    model = autoscale.load_model(weights)
    assert isinstance(model, Model)
    images = sorted((work / "photos").glob("red/*.png"))
    by_name = autoscale.predict(weights, images).table
    assert autoscale.predict(model, images).table.equals(by_name)


@pytest.mark.parametrize("option", ["weights", "style", "resolution"])
def test_options_of_loading_are_refused_beside_a_loaded_network(
    work: Path, weights: Path, option: str
) -> None:
    model = autoscale.load_model(weights)
    given: Any = {option: 32 if option == "resolution" else "tf"}
    for call in (
        lambda: autoscale.predict(model, ["a.jpg"], **given),
        lambda: autoscale.evaluate(model, work / "photos", **given),
        lambda: autoscale.export(model, work / "out", **given),
    ):
        with pytest.raises(InvalidSetting, match=f"loaded already; give {option} to load_model"):
            call()
    with pytest.raises(TypeError, match="colour"):
        autoscale.predict(weights, ["a.jpg"], colour="red")


def test_networks_in_hand_are_counted_and_timed() -> None:
    design = autoscale.Architecture.from_yaml(DESIGN)
    counted = autoscale.count(design, resolution=32)
    assert counted.cost == autoscale.cost(replace(design, resolution=32))
    module = autoscale.count(autoscale.build(design), resolution=32)
    assert (module.cost.macs, module.traced) == (counted.cost.macs, True)
    timed = autoscale.latency({"mine": autoscale.build(design), "other": design}, repeats=5)
    assert timed.table.network.tolist() == ["mine", "other"]
    assert timed.table.resolution.tolist() == [224, 16]
