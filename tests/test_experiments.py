"""The scripts behind the figures of the documentation are kept up with the sources."""

from __future__ import annotations

import ast
import importlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from autoscale import distribution
from autoscale.datasets.data import classes_in
from autoscale.network.build import build
from autoscale.network.kernels.library import compiler
from autoscale.network.kernels.precision import multiplies_bfloat16
from experiments import rows
from tests.conftest import draw_photos
from tests.models.networks import saved, telling
from tests.quantization.designs import HARD

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SCRIPTS = sorted(EXPERIMENTS.rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(EXPERIMENTS)))
def test_what_an_experiment_imports_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autoscale"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_every_script_is_named_by_a_page_or_imported_by_another() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in EXPERIMENTS.rglob("*.md"))
    sources = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    assert SCRIPTS
    assert [
        path.name
        for path in SCRIPTS
        if path.name not in pages and f"import {path.stem}" not in sources
        and f"from {path.stem} import" not in sources
        and f"from experiments.{path.stem} import" not in sources
    ] == []  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One of each type that a cell may have."""

    name: str
    count: int
    share: float | None
    right: bool


def test_rows_are_kept_and_read_and_tables_of_others_are_refused(tmp_path: Path) -> None:
    table, kept = tmp_path / "new" / "rows.csv", [Row("a, b", 2, None, False)]
    assert rows.read(table, Row) == []
    rows.append(table, kept[0], ending="\n")
    kept.append(Row("c", -1, 0.1 + 0.2, True))
    rows.append(table, kept[1], ending="\n")
    text = 'name,count,share,right\n"a, b",2,,False\nc,-1,0.30000000000000004,True\n'
    assert table.read_bytes() == text.encode()
    assert rows.read(table, Row) == kept
    rows.write(table, kept[:1])
    assert table.read_bytes() == b'name,count,share,right\r\n"a, b",2,,False\r\n'
    table.write_text("name,count\na,2\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="has the columns name, count, not name, count, share"):
        rows.read(table, Row)


def test_means_are_told_with_their_standard_errors() -> None:
    assert rows.mean_and_error([0.5, 0.7, 0.9]) == pytest.approx((0.7, 0.2 / 3**0.5))
    assert rows.told([0.5, 0.7, 0.9]) == "0.7000 +- 0.1155"
    assert rows.told([0.25], "+") == "+0.2500"


def test_choosing_trains_a_few_networks_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "device"))
    choosing = importlib.import_module("choosing")
    table = tmp_path / "rows.csv"
    words = ["synthetic", str(table), "--resolution", "16", "--epochs", "1", "--limit", "32",
             "--most-macs", "2000000"]  # fmt: skip
    choosing.main([*words, "--networks", "2"])
    first = table.read_text(encoding="utf-8")
    choosing.main([*words, "--networks", "3"])
    assert table.read_text(encoding="utf-8").startswith(first)
    rows = choosing.read(table, choosing.Row)
    assert [(row.activation, row.squeeze_excite) for row in rows] == [
        ("relu6", "no"), ("relu6", "yes"), ("hswish", "no")
    ]  # fmt: skip
    assert all(row.macs <= 2_000_000 for row in rows)
    capsys.readouterr()
    choosing.main([*words, "--tell"])
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("all: 3 networks, tau-b ")
    assert "relu6: 2 networks, too few to tell" in told
    with pytest.raises(SystemExit, match="rows of other images or settings"):
        choosing.main([*words[:-1], "3000000", "--epochs", "2"])


def test_what_choosing_tells_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "device"))
    choosing = importlib.import_module("choosing")
    pairs = np.array([(0.1, 0.2), (0.2, 0.1), (0.3, 0.3), (0.4, 0.4), (0.4, 0.2)])
    # Of ten pairs six agree and two do not; one of each column is tied: (6 - 2) / sqrt(9 * 9).
    assert choosing.tau_b(pairs) == pytest.approx(4 / 9)
    assert choosing.tau_b(pairs[:, [0, 0]]) == pytest.approx(1)
    assert choosing.lost(pairs) == pytest.approx(0.4 - (0.4 + 0.2) / 2)


@pytest.mark.skipif(bool(distribution.missing("litert")), reason="needs the extra litert")
def test_scoring_lets_everyone_answer_each_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "device"))
    scoring = importlib.import_module("scoring")
    classes = classes_in("synthetic")
    design = replace(HARD, num_classes=len(classes))
    images = torch.randn(16, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    network = str(saved(tmp_path, design, telling(build(design), images), classes=classes))
    table = tmp_path / "rows.csv"
    scoring.main(["synthetic", network, network, str(table), "--simulated", "20"])
    rows = pd.read_csv(table)
    names = ["becoming int8", "xnnpack", "own", "torch", "float", "integers"]
    assert rows.who.to_list() == names * 2
    answers = rows[rows.who != "becoming int8"].set_index("who")
    assert (answers.loc["integers"].images == 20).all()
    assert (answers.loc["torch"].images > 20).all()
    # All but a few answers are the same: each rounds some numbers otherwise.
    assert answers[["same_as_xnnpack", "same_as_own", "same_as_torch"]].min().min() > 0.8
    assert (answers.loc["own"].same_as_own == 1).all()
    mirrored = answers.loc["own"].same_as_torch, answers.loc["torch"].same_as_own
    assert mirrored[0].to_list() == mirrored[1].to_list()
    # The same network twice: all but the times is the same.
    first, second = (part.drop(columns="cpu_seconds") for part in (rows[:6], rows[6:]))
    assert first.reset_index(drop=True).equals(second.reset_index(drop=True))


def test_a_long_tail_falls_exponentially_and_ways_of_training_on_it_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "uneven"))
    tail, uneven = (importlib.import_module(name) for name in ("long_tail", "uneven"))
    counts = tail.long_tail(5000, 100)
    assert (counts[0], counts[-1], sum(counts)) == (5000, 50, 12406)  # Cui et al. 2019
    monkeypatch.setattr(uneven, "RARE", ("red",))
    photos, table = draw_photos(tmp_path / "photos"), tmp_path / "rows.csv"
    words = [str(photos), str(table), "--runs", str(tmp_path / "runs"), "--epochs", "1",
             "--resolution", "16", "--recipe", "proxy", "--seeds", "1", "--ways"]  # fmt: skip
    uneven.main([*words, "cross-entropy", "focal"])
    first = table.read_text(encoding="utf-8")
    uneven.main([*words, "cross-entropy", "focal"])
    assert table.read_text(encoding="utf-8") == first
    assert [row.way for row in uneven.read(table, uneven.Row)] == ["cross-entropy", "focal"]
    capsys.readouterr()
    uneven.main([*words, "focal", "--tell"])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "photos, all images, base.yaml, recipe proxy, 1 epochs:"
    assert told[1].startswith("  cross-entropy: balanced accuracy 0.")
    assert "ahead of cross-entropy (1 seeds, " in told[2]


def test_bands_are_drawn_and_other_channels_and_areas_are_trained_and_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "channels"))
    bands, channels = (importlib.import_module(name) for name in ("six_bands", "channels"))
    bands.main([str(tmp_path), "--count", "8"])
    whole, part = (np.load(tmp_path / name / "crop" / "0003.npy") for name in ("six", "three"))
    assert np.array_equal(whole[..., :3], part)
    assert (whole.dtype, whole.shape, whole.max() <= bands.WHITE) == (np.uint16, (40, 40, 6), True)
    table, photos = tmp_path / "rows.csv", draw_photos(tmp_path / "photos", count=10)
    rest = [str(table), "--runs", str(tmp_path / "runs"), "--epochs", "1", "--resolution", "16",
            "--recipe", "proxy", "--seeds", "1", "--ways"]  # fmt: skip
    channels.main([str(tmp_path / "six"), *rest, "six bands"])
    first = table.read_text(encoding="utf-8")
    channels.main([str(tmp_path / "six"), *rest, "six bands"])
    assert table.read_text(encoding="utf-8") == first
    channels.main([str(photos), *rest, "centre-square", "grey", "squashed"])
    rows = channels.read(table, channels.Row)
    assert [row.way for row in rows] == ["six bands", "centre-square", "grey", "squashed"]
    assert rows[0].params > rows[1].params > rows[2].params
    told = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  grey: accuracy") and "of centre-square" in line for line in told)


def test_copies_of_pictures_are_cut_both_ways_and_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "grouped"))
    copies, grouped = (importlib.import_module(name) for name in ("copies", "grouped"))
    photos = draw_photos(tmp_path / "photos", count=10)
    rows = [
        {"img": {"bytes": path.read_bytes()}, "label": label}
        for label, folder in enumerate(sorted(photos.iterdir()))
        for path in sorted(folder.iterdir())
    ]
    for name in ("train", "test"):
        table = pyarrow.Table.from_pylist(rows)
        importlib.import_module("pyarrow.parquet").write_table(table, tmp_path / f"{name}.parquet")
    made = tmp_path / "made"
    copies.main([str(tmp_path), str(made), "--pictures", "8", "--copies", "3", "--new", "4"])
    assert len([*(made / "copies").rglob("*.png")]) == 3 * 8 * 3
    words = [str(made), str(tmp_path / "rows.csv"), "--runs", str(tmp_path / "runs"), "--epochs",
             "1", "--resolution", "16", "--seeds", "1"]  # fmt: skip
    grouped.main(words)
    first = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    grouped.main([*words, "--tell"])
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == first
    found = grouped.read(tmp_path / "rows.csv", grouped.Row)
    assert [row.cut for row in found] == ["random", "grouped"]
    # 8 groups of 3 of each class: a cut by groups takes whole ones.
    assert found[1].test_images % 3 == 0
    assert "grouped: test 0." in capsys.readouterr().out


def test_a_family_is_trained_together_and_apart_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "elastic"))
    elastic = importlib.import_module("elastic")
    photos, table = draw_photos(tmp_path / "photos"), tmp_path / "rows.csv"
    words = [str(photos), str(table), "--runs", str(tmp_path / "runs"), "--phi", "0,1",
             "--epochs", "2", "--limit", "24", "--seeds"]  # fmt: skip
    elastic.main([*words, "1"])
    first = table.read_text(encoding="utf-8")
    rows = elastic.read(table, elastic.Row)
    assert [(row.way, row.member, row.epochs) for row in rows] == [
        ("apart", "phi-0", 2), ("apart", "phi-1", 2),
        ("together", "phi-0", 1), ("together", "phi-1", 1), ("between", rows[4].member, 1),
    ]  # fmt: skip
    assert rows[0].macs < rows[4].macs < rows[1].macs
    assert rows[2].cpu_seconds == rows[3].cpu_seconds > 0
    elastic.main([*words, "1"])
    assert table.read_text(encoding="utf-8") == first
    capsys.readouterr()
    elastic.main([*words, "1", "--tell"])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == (
        "photos, 24 images, recipe proxy, 1 epochs together, each step one, 2 apart:"
    )
    assert told[1].startswith("  phi-0: ")
    assert told[-1].endswith("of the members' apart")


def test_foretelling_trains_a_tiny_case_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "advice"))
    monkeypatch.setattr("autoscale.advice.posterior.DRAWS", 128)
    foretelling = importlib.import_module("foretelling")
    photos, table = draw_photos(tmp_path / "photos", count=40), tmp_path / "rows.csv"
    words = [str(photos), str(table), "--cases", "1", "--counts", "12,24", "--targets", "48",
             "--epochs", "1", "--resolution", "16", "--seeds"]  # fmt: skip
    foretelling.main([*words, "1"])
    first = table.read_text(encoding="utf-8")
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "1 cases (1 with 1 seed), x2 for each effort"
    assert [line.partition(":")[0] for line in told[1:]] == [
        "48 images", "effort images", "effort macs", "effort epochs",
        "the best of images, macs, epochs named rightly",
    ]  # fmt: skip
    foretelling.main([*words, "1", "--tell"])
    assert table.read_text(encoding="utf-8") == first
    assert capsys.readouterr().out.splitlines() == told
    with pytest.raises(SystemExit, match="rows of other images or settings"):
        foretelling.main([*words, "1", "--most-macs", "2000000"])


def test_members_grow_and_are_trained_from_scratch_and_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "elastic"))
    growth = importlib.import_module("growth")
    photos, table = draw_photos(tmp_path / "photos"), tmp_path / "rows.csv"
    words = [str(photos), str(table), "--runs", str(tmp_path / "runs"), "--phi", "0,1",
             "--epochs", "2", "--limit", "24", "--seeds", "1", "--shares"]  # fmt: skip
    growth.main([*words, "0.5"])
    first = table.read_text(encoding="utf-8")
    growth.main([*words, "0.5,1"])
    assert table.read_text(encoding="utf-8").startswith(first)
    rows = growth.read(table, growth.Row)
    assert [(row.way, row.member, row.epochs) for row in rows] == [
        ("scratch", "phi-0", 2), ("scratch", "phi-1", 2),
        ("grown", "phi-1", 1), ("grown", "phi-1", 2),
    ]  # fmt: skip
    assert rows[1].reached > 0
    assert all(row.cpu_seconds > 0 for row in rows)
    capsys.readouterr()
    growth.main([*words, "1", "--tell"])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "photos, 24 images, recipe proxy, 2 epochs from scratch"
    assert [line.split(":")[0] for line in told[1:3]] == ["  phi-1, 1 epochs", "  phi-1, 2 epochs"]


bfloat16 = pytest.mark.skipif(
    compiler() is None or not multiplies_bfloat16(),
    reason="there is no C++ compiler here, or the processor does not multiply bfloat16",
)


@bfloat16
def test_all_ways_of_training_that_are_timed_learn_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "benchmarks" / "training"))
    step_speed = importlib.import_module("step_speed")
    small = step_speed.Case("efficientnet-b0", 0.25, 32, 8)
    monkeypatch.setattr(step_speed, "RIVALED", (small,))
    step_speed.main(["--rivals", "--rounds", "2"])
    told = json.loads(capsys.readouterr().out)
    first, last = told["first_loss"], told["last_loss"]
    assert list(last) == [*step_speed.plain_ways.WAYS, "native", "native-bfloat16"]
    assert [*first.values()] == pytest.approx([first["plain"]] * len(first), rel=0.02)
    # After some steps at a high rate, with few images, those in bfloat16 have gone elsewhere.
    alike = [last[way] for way in ("channels-last", "fused", "native")]
    assert alike == pytest.approx([last["plain"]] * 3, rel=1e-3)
    assert all(last[way] < first[way] for way in last)
    best = told["best-plain"]
    assert best in step_speed.plain_ways.WAYS
    speed = told["images_per_second"]
    assert speed[best] == max(speed[way] for way in step_speed.plain_ways.WAYS)
    ratio, *_ = told["bfloat16 against best-plain"]
    assert ratio == pytest.approx(speed["native-bfloat16"] / speed[best], rel=0.05)
    for backend in (torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul):
        assert backend.fp32_precision != "bf16"  # the way that asks for it leaves no trace


@bfloat16
def test_the_share_of_evaluations_and_what_they_verify_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "benchmarks" / "training"))
    evaluation, verified = (importlib.import_module(name) for name in ("evaluation", "verified"))
    photos = str(draw_photos(tmp_path / "photos", count=80))
    monkeypatch.setattr(evaluation, "ASKED", (("efficientnet-b0", 0.25, 32, 4),))
    words = ["--images", "40", "--epochs", "1"]
    evaluation.main(["--data", photos, "--rounds", "1", "--cases", "0", *words])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert all(0 < told[way]["share"] < 100 for way in ("float32", "bfloat16, verified"))
    monkeypatch.setattr(verified, "CASES", (("efficientnet-b0", 0.25, 32, "clothing"),))
    verified.main(["--clothing", photos, "--seeds", "0", *words])
    lines = [told, *map(json.loads, capsys.readouterr().out.splitlines())]
    assert [(line["differ"], 0 < line["in_float32_too"] <= 1) for line in lines] == [(0, True)] * 2
