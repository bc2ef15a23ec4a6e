"""One command from images to a network, on tiny images: planned, broken off, gone on with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.published import published
from autoscale.design.rounding import ROUNDINGS
from autoscale.design.space import SearchSpace
from autoscale.devices.boards import load_board
from autoscale.errors import BudgetUnreachable, InvalidSetting
from autoscale.jobs.costs import limits_from
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.workers.estimate import Pace
from autoscale.listener import Silent
from autoscale.models import export
from autoscale.models.count import load_architecture
from autoscale.pipeline import beside, course, ending, plan, source, steps
from autoscale.pipeline.around import space_around
from autoscale.pipeline.job import make_network, plan_network
from autoscale.pipeline.result import Made
from autoscale.pipeline.settings import MakeSettings
from autoscale.runs.store import Journal, StepFolder
from autoscale.runs.weights import read_weights, write_weights
from autoscale.scaling.scalable import Design
from autoscale.scaling.within import scaled
from tests import designs
from tests.conftest import Heard

SOURCE = replace(designs.SOURCE, resolution=20)
LIMIT = "macs=120K"
USUAL: dict[str, Any] = {"limit": 48, "kernels": "none", "hours": 1}
PACE = Pace(begin=20.0, epoch=14.0, evaluation=1.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return designs.trained(SOURCE, tmp_path_factory.mktemp("source"))


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Speeds as if they had been measured, few trainings, and one format."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps.Steps, "pace", lambda self, design: PACE)
        patch.setattr(steps.Steps, "teaching", lambda self, design: None)
        patch.setattr(steps.Steps, "rival", lambda self, design: None)
        patch.setattr(export, "possible_formats", lambda model: ["safetensors"])
        for room, name, value in (
            (plan, "LEAST", 2), (course, "LEAST", 2), (plan, "ENOUGH", 3), (plan, "MOST", 4),
            (plan, "CHECKED", 4), (course, "CHECKED", 4), (steps, "NETWORKS", 2),
            (steps, "SEEDS", 2), (plan, "RACED", 2), (course, "RACED", 2), (steps, "RACED", 2),
            (steps, "CANDIDATE_EPOCHS", 1), (course, "LONGEST", 1),
        ):  # fmt: skip
            patch.setattr(room, name, value)
        yield


def made(run: Path, source: str, **changes: Any) -> Made:
    asked = {"max_cost": [LIMIT], "weights": source, **USUAL, **changes}
    return make_network("synthetic", run, **asked)


def steps_of(run: Path) -> list[dict[str, Any]]:
    return Journal(run / "make" / "steps.jsonl").read()


def epochs_of(run: Path) -> list[dict[str, Any]]:
    return Journal(run / "train" / "epochs.jsonl").read()


# Without a search


@pytest.fixture(scope="module")
def short(
    quick: None, weights: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Made, Heard]:
    """A network for which there was too little time to search."""
    run, heard = tmp_path_factory.mktemp("short") / "run", Heard()
    return run, made(run, weights, hours=0.08, listener=heard), heard


def test_in_a_short_time_the_sources_design_is_scaled_trained_and_evaluated(
    short: tuple[Path, Made, Heard],
) -> None:
    run, found, heard = short
    held = read_weights(found.weights)
    assert held.header.architecture is not None
    design = Architecture.from_dict(held.header.architecture)
    assert design == load_architecture(str(run / "make" / "scaled.yaml"))
    assert 60_000 < cost(design).macs <= 120_000
    assert not (run / "search").exists()
    assert found.split == "test"
    assert found.images == 1000
    result = json.loads((run / "train" / "result.json").read_text())
    assert found.accuracy == pytest.approx(result["test_accuracy"], abs=1e-9)
    assert found.low < found.accuracy < found.high
    assert (found.export / "model.safetensors").exists()
    assert found.report is not None
    assert found.report.exists()
    assert any(line.startswith("plan: about") for line in heard.notices)
    assert any("no search" in line for line in heard.notices)
    assert any("no search" in line for line in found.left_out)
    assert set(found.took) == {"doctor", "measuring", "train", "finish"}
    assert sum(found.took.values()) <= found.seconds + 0.01


def test_the_same_command_again_does_nothing_again(
    short: tuple[Path, Made, Heard], weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, found, _ = short
    before = epochs_of(run)
    for name in ("pace", "teaching", "rival", "examined", "evaluate"):
        monkeypatch.setattr(steps.Steps, name, lambda *_, **__: pytest.fail("done again"))
    again = made(run, weights, hours=0.08)
    assert epochs_of(run) == before
    assert replace(again, took={}, seconds=0.0) == replace(found, took={}, seconds=0.0)
    assert again.seconds > found.seconds


def test_what_is_left_out_has_the_epochs_of_the_training_not_of_the_plan(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = iter([PACE, replace(PACE, epoch=40.0)])  # slower than when it was planned
    monkeypatch.setattr(steps.Steps, "pace", lambda self, design: next(speeds))
    found = made(tmp_path / "run", weights, hours=0.08)
    usual = recipe_named("finetune").epochs
    planned = [r["plan"] for r in steps_of(tmp_path / "run") if "plan" in r][-1]
    foreseen = next(part["count"] for part in planned["parts"] if part["step"] == "train")
    trained = len(epochs_of(tmp_path / "run"))
    assert trained < foreseen <= usual
    assert f"the training has {trained} of {usual} epochs" in found.left_out
    assert not any(f"has {foreseen} of" in line for line in found.left_out)


def test_a_finished_training_is_not_recorded_as_cut_by_the_time_of_a_later_call(
    weights: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    made(run, weights, hours=0.08)
    with (run / "make" / "steps.jsonl").open("a") as journal:
        journal.write(json.dumps({"spent": 10_000.0}) + "\n")  # more than there is
    made(run, weights, hours=0.08)
    assert "time_limit: null" in (run / "train" / "job.yaml").read_text()


def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(
    short: tuple[Path, Made, Heard], weights: str, tmp_path: Path
) -> None:
    _, found, _ = short
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "broken", weights, hours=0.08, listener=Heard(stop_after=3))
    broken = steps_of(tmp_path / "broken")
    assert "training" in {name for record in broken for name in record}
    gone_on = made(tmp_path / "broken", weights, hours=0.08)
    assert gone_on.accuracy == found.accuracy
    one, other = read_weights(found.weights).state, read_weights(gone_on.weights).state
    assert all(one[name].equal(other[name]) for name in one)
    assert gone_on.seconds > max(record["spent"] for record in broken)


def test_a_training_that_takes_longer_than_foretold_is_cut_and_its_best_epoch_kept(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, spent = tmp_path / "run", steps.Steps.train

    def late(
        self: steps.Steps, design: Path, place: Path, *, epochs: int, seconds: float, **_: Any
    ) -> Any:
        if not epochs_of(run):
            with pytest.raises(KeyboardInterrupt):
                spent(replace(self, listener=Heard(stop_after=2)), design, place,
                      epochs=epochs, seconds=1e6)  # fmt: skip
        return spent(self, design, place, epochs=epochs, seconds=1e-6)

    monkeypatch.setattr(steps.Steps, "train", late)
    found = made(run, weights, hours=0.08)
    assert any("was cut" in line for line in found.left_out)
    assert found.weights.exists()
    assert found.report is None
    assert len(epochs_of(run)) < 8


# The published network beside it


def test_the_weights_own_network_teaches_where_the_time_allows(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, heard = tmp_path / "run", Heard()
    monkeypatch.setattr(steps.Steps, "teaching", lambda self, design: 10.0)
    found = made(run, weights, hours=0.08, teach=True, listener=heard)
    assert found.teacher == weights
    assert any("the published network teaches" in line for line in heard.notices)
    settings = json.loads((run / "train" / "settings.json").read_text())
    assert settings["settings"]["teacher"]
    assert settings["settings"]["teacher_crops"] == 4
    assert settings["notes"]["teacher_resolution"] == SOURCE.resolution
    before = epochs_of(run)
    monkeypatch.setattr(steps.Steps, "teaching", lambda *_: pytest.fail("timed again"))
    again = made(run, weights, hours=0.08, teach=True)
    assert (again.teacher, again.accuracy) == (weights, found.accuracy)
    assert epochs_of(run) == before


def test_a_teacher_is_left_out_and_said_where_its_time_is_gone(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = iter([10.0, 200.0])  # foretold, and when it is its turn
    monkeypatch.setattr(steps.Steps, "teaching", lambda self, design: next(takes))
    found = made(tmp_path / "run", weights, hours=0.08, teach=True)
    assert found.teacher is None
    assert "no teacher: what is left of the time is the training's" in found.left_out
    settings = json.loads((tmp_path / "run" / "train" / "settings.json").read_text())
    assert "teacher" not in settings["settings"]


def beginning(weights: str, **changes: Any) -> tuple[MakeSettings, source.Beginning]:
    asked = {"data": "synthetic", "max_cost": (LIMIT,), "weights": weights, **changes}
    settings = MakeSettings(**asked)
    return settings, source.beginning(settings)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"weights": "none", "max_cost": ("macs=22M",)}, "--teach needs weights"),
        ({"style": "tf"}, "--teach and --style: a teacher's file must say this itself"),
        ({"max_cost": ("macs=900K",)}, "the limits leave most of best.safetensors"),
    ],
)
def test_who_cannot_teach_is_refused_before_anything_is_measured(
    weights: str, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    asked = {"weights": weights, "max_cost": (LIMIT,), "teach": True, **changes}
    with pytest.raises(InvalidSetting, match=why):
        make_network("synthetic", tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()


def test_what_teacher_and_rival_take_is_timed(weights: str, tmp_path: Path) -> None:
    settings, began = beginning(weights, limit=16, kernels="none")
    folder = StepFolder(tmp_path, "make")
    own = steps.Steps(
        run=tmp_path, settings=settings, began=began, folder=folder, listener=Silent()
    )
    design = began.architecture
    proxy = own.proxy(design.resolution)
    asked = {"teacher": weights, "teacher_crops": 4, "teacher_resolution": SOURCE.resolution}
    assert beside.teaching(began, design) == asked
    assert 0 < beside.teaching_seconds(began, proxy, design) < 60
    seconds = beside.rival_seconds(settings, began, proxy, design)
    assert seconds is not None
    assert 0 < seconds < 60
    # What is said of the weights beside them can be said of no rival.
    other, said = beginning(weights, style="tf")
    assert beside.rival_seconds(other, said, proxy, design) is None
    # A teacher that knows some of the classes can tell nothing.
    held = read_weights(weights)
    classes = ("a", *(held.header.classes or ())[1:])
    torn = tmp_path / "torn.safetensors"
    write_weights(torn, held.state, replace(held.header, classes=classes))
    with pytest.raises(InvalidSetting, match="does not know"):
        beside.teaching_seconds(replace(began, source=str(torn)), proxy, design)


@pytest.mark.slow
def test_the_weights_own_network_is_a_rival_of_what_is_found(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.Steps, "rival", lambda self, design: 20.0)
    run = tmp_path / "run"
    found = made(run, weights, hours=1)
    assert found.check is not None
    assert found.grid is None
    assert found.rival is not None
    assert "published network" in found.rival or "the baseline" in found.rival
    check = json.loads((run / "check" / "check.json").read_text())
    assert [one["verdict"] for one in check["references"]] == [found.rival]


# With a search


@pytest.mark.slow
def test_a_longer_time_searches_and_checks_and_more_hours_go_on(
    weights: str, tmp_path: Path
) -> None:
    run, heard = tmp_path / "run", Heard()
    first = made(run, weights, hours=0.18, listener=heard)  # two networks fit
    trials = Journal(run / "search" / "trials.jsonl").read()
    assert first.network == "the baseline of the search"
    assert first.check is None
    design = load_architecture(str(run / "search" / "baseline.yaml"))
    assert cost(design).macs <= 120_000
    settings = json.loads((run / "search" / "settings.json").read_text())
    assert "start" in settings["settings"]
    longer = made(run, weights, hours=1)
    more = Journal(run / "search" / "trials.jsonl").read()
    assert more[: len(trials)] == trials
    assert len(more) > len(trials)
    assert longer.check is not None
    assert longer.grid is None
    assert any("made at the limits" in line for line in longer.left_out)


@pytest.mark.slow
def test_a_long_time_searches_a_smaller_baseline_and_grows_it_to_the_limits(
    weights: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    found = made(run, weights, max_cost=["macs=400K", "params=9K"], hours=3)
    assert found.grid is not None
    assert found.check is not None
    baseline = load_architecture(str(run / "search" / "baseline.yaml"))
    assert cost(baseline).macs <= 200_000
    held = read_weights(found.weights).header.architecture
    assert held is not None
    grown = Architecture.from_dict(held)
    assert cost(baseline).macs < cost(grown).macs <= 400_000
    assert cost(grown).params <= 9000


def test_a_search_ends_where_its_trainings_take_longer_than_foretold(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "seconds_of", lambda trials: [3000.0] * len(trials))
    monkeypatch.setattr(plan, "MOST", 6)
    monkeypatch.setattr(plan, "ENOUGH", 6)
    found = made(tmp_path / "run", weights, hours=0.25)
    asked = steps_of(tmp_path / "run")
    counts = next(r["plan"]["parts"] for r in asked if "plan" in r)
    wanted = next(part["count"] for part in counts if part["step"] == "search")
    trained = len(Journal(tmp_path / "run" / "search" / "trials.jsonl").read())
    assert trained < wanted
    assert any(f"of {wanted} networks" in line for line in found.left_out)


# Weights that were found on the machine


@pytest.fixture
def found_here(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are those that `auto` finds."""
    monkeypatch.setattr(source, "_source", lambda settings: (weights, ["found"]))


def compared_as(advice: str) -> Any:
    """A comparison that comes to some advice, and counts how often it is made."""
    asked: list[Path] = []

    def compare(self: steps.Steps) -> Any:
        asked.append(self.run)
        return SimpleNamespace(advice=advice, sentence=f"at 120K {advice}")

    return compare, asked


@pytest.mark.usefixtures("found_here")
def test_weights_that_are_found_to_be_worse_are_not_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, (compare, asked) = tmp_path / "run", compared_as("scratch")
    monkeypatch.setattr(steps.Steps, "compare", compare)
    plain = plan_network("synthetic", run, max_cost=[LIMIT], **USUAL | {"hours": 0.2})
    assert plain.plan.count("compare") == 2 * plan.PAIRS
    assert plain.source is not None
    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        made(run, "auto", hours=0.2, listener=Heard(stop_after=2))
    found = made(run, "auto", hours=0.2, listener=heard)
    assert asked == [run], "an earlier call has compared them"
    assert found.source is None
    assert found.compared == "at 120K scratch"
    assert any("random weights" in line for line in heard.notices)
    settings = json.loads((run / "train" / "settings.json").read_text())
    assert "start" not in settings["settings"]
    assert settings["notes"]["recipe"] == "full"
    assert any("of 60 epochs" in line for line in found.left_out)
    assert not any("no comparison" in line for line in found.left_out)


@pytest.mark.usefixtures("found_here")
def test_weights_that_were_found_are_tried_at_the_limits_and_kept_where_they_are_no_worse(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "PAIRS", 2)
    monkeypatch.setattr("autoscale.jobs.starts.job.epochs_by_whole", lambda *_, **__: 1)
    run = tmp_path / "run"
    found = made(run, "auto", hours=0.3)
    advice = json.loads((run / "advice" / "advice.json").read_text())["networks"][0]
    assert advice["macs"] == cost(load_architecture(str(run / "make" / "scaled.yaml"))).macs
    assert advice["pairs"] == 2
    assert advice["advice"] in ("either", "weights"), "one epoch each, far from any difference"
    assert found.compared == advice["sentence"]
    assert found.source == weights
    settings = json.loads((run / "search" / "settings.json").read_text())
    assert "start" in settings["settings"]
    assert "compare" in found.took


@pytest.mark.usefixtures("found_here")
def test_without_time_for_it_is_said_that_weights_were_not_compared(tmp_path: Path) -> None:
    found = plan_network("synthetic", tmp_path, max_cost=[LIMIT], **USUAL | {"hours": 0.08})
    assert any("no comparison of the weights" in line for line in found.plan.left_out)


# The plan alone, and refusals


def test_a_plan_trains_nothing_and_is_the_one_that_is_carried_out(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["make", "synthetic", "--limit", "48", "--limit", LIMIT, "--hours", "0.3"]
    words += ["--kernels", "none", "--weights", weights, "--run", str(run)]
    assert main([*words, "--plan"]) == 0
    told = capsys.readouterr().out
    assert "Nothing was trained" in told
    assert not (run / "train").exists()
    assert main([*words, "--plan", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    kept = next(record["plan"] for record in steps_of(run) if "plan" in record)
    assert plain["parts"] == kept["parts"]
    assert plain["planned_seconds"] <= 0.95 * 0.3 * 3600
    again = plan_network(
        "synthetic", run, max_cost=[LIMIT], weights=weights, **USUAL | {"hours": 0.3}
    )
    assert again.to_dict()["parts"] == kept["parts"]


@pytest.mark.parametrize(
    ("changes", "error", "why"),
    [
        ({"max_cost": []}, InvalidSetting, "say what the network may cost"),
        ({"max_cost": ["latency=5ms"]}, InvalidSetting, "search-baseline --limit latency=5ms"),
        ({"weights": "none", "style": "tf"}, InvalidSetting, "--style says something of weights"),
        ({"max_cost": ["macs=1K"]}, BudgetUnreachable, r"the nearest costs [\d,]+ multiply-adds"),
        ({"max_cost": ["macs=1M", "params=100"]}, BudgetUnreachable, "the nearest costs"),
        ({"max_cost": [], "board": "nowhere"}, InvalidSetting, "nowhere"),
        ({"hours": 0.001}, InvalidSetting, r"not enough for one epoch .* give --hours 0\.\d\d"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    weights: str, tmp_path: Path, changes: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error) as refused:
        made(tmp_path / "run", weights, **changes)
    assert re.search(why, str(refused.value))
    assert not (tmp_path / "run" / "train").exists()
    assert not (tmp_path / "run" / "search").exists()


def test_another_limit_in_the_same_run_is_refused(
    short: tuple[Path, Made, Heard], weights: str
) -> None:
    with pytest.raises(
        autoscale.AutoscaleError, match="--limit macs=120K there, asked for --limit macs=130K"
    ):
        made(short[0], weights, hours=0.08, max_cost=["macs=130K"])


# A board


BOARD = """kind: board
name: small
flash: 60KiB
ram: 24KiB
"""


def test_a_board_alone_says_what_a_network_may_cost_and_gets_its_int8_file(
    weights: str, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    board, run, heard = tmp_path / "small.yaml", tmp_path / "run", Heard()
    board.write_text(BOARD)
    found = made(run, weights, max_cost=[], board=str(board), hours=0.08, listener=heard)
    assert any(line.startswith("small leaves a network") for line in heard.notices)
    design = load_architecture(str(run / "make" / "scaled.yaml"))
    assert all(fit.fits for fit in load_board(str(board)).fit(design))
    assert found.limits == ("61,440 bytes of flash", "24,576 bytes of RAM")
    assert found.int8 is not None
    assert found.int8.file.stat().st_size == found.int8.bytes <= 60 * 1024
    right = found.int8.accuracy * found.images
    assert right == pytest.approx(round(right))
    assert 0 < found.int8.agreement <= 1
    again = made(run, weights, max_cost=[], board=str(board), hours=0.08)
    assert again.int8 == found.int8
    assert again.to_dict()["int8"]["file"] == str(found.int8.file)


def test_a_board_that_limits_nothing_needs_a_limit(weights: str, tmp_path: Path) -> None:
    board = tmp_path / "open.yaml"
    board.write_text("kind: board\nname: open\n")
    with pytest.raises(InvalidSetting, match="limits neither flash nor RAM; say what"):
        beginning(weights, max_cost=(), board=str(board))
    _, began = beginning(weights, board=str(board))
    assert began.board is not None
    assert began.board.judged_in == "float32"  # nothing says that int8 networks are meant


def test_without_litert_the_int8_file_is_left_out_and_said(
    short: tuple[Path, Made, Heard], weights: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    board = tmp_path / "small.yaml"
    board.write_text(BOARD)
    monkeypatch.setattr(ending, "missing", lambda extra: ["ai_edge_litert"])
    _, began = beginning(weights, board=str(board))
    end = ending.Ending(run=tmp_path, began=began, clock=None, steps=None)  # type: ignore[arg-type]
    assert end._int8(short[1].weights, "0") == (
        None,
        ('no int8 file: it needs ai_edge_litert: pip install "autoscale-cnn[litert]"',),
    )


@pytest.mark.slow
def test_search_check_and_grid_keep_to_the_board(weights: str, tmp_path: Path) -> None:
    board, run = tmp_path / "small.yaml", tmp_path / "run"
    board.write_text(BOARD)
    found = made(run, weights, max_cost=[], board=str(board), hours=3)
    assert found.grid is not None
    for step in ("search", "check", "grid"):
        record = json.loads((run / step / "settings.json").read_text())
        assert record["settings"]["dtype"] == "int8", step
    held = read_weights(found.weights).header.architecture
    assert held is not None
    kept = Architecture.from_dict(held)
    assert all(fit.fits for fit in load_board(str(board)).fit(kept))


# The choice of weights, and what lies around a design


def test_without_weights_on_the_machine_it_begins_with_random_ones_and_says_how_to_get_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr("autoscale.runs.sources.packages.distribution", _none)
    found = source.beginning(MakeSettings(data="synthetic", max_cost=("macs=22M",)))
    assert found.source is None
    assert found.name == "efficientnet-lite0"
    (note,) = found.notes
    assert "pip install" in note


def _none(name: str) -> None:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


@pytest.mark.parametrize("limits", [["macs=22M"], ["params=500K"], ["macs=60M", "memory=2M"]])
def test_a_scaled_design_keeps_its_limits_and_lies_in_the_space_around_it(
    limits: list[str],
) -> None:
    kept = limits_from(limits)
    base = Design(replace(published("efficientnet-lite0"), num_classes=7), ROUNDINGS["nearest"])
    design = scaled(base, kept).architecture
    assert all(limit.allows(design) for limit in kept)
    space = SearchSpace.from_yaml(space_around(design, name="around"))
    assert space == space.for_task(num_classes=7), "its strides are those of the design"
    assert space.contains(design)


def test_a_design_within_its_limits_is_not_made_larger() -> None:
    base = Design(published("efficientnet-lite0"), ROUNDINGS["nearest"])
    found = scaled(base, limits_from(["macs=4G"]))
    assert found.architecture == base.base
