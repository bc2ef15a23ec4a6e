from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autoscale.terminal import Live, records, show_json, show_table
from autoscale.workflows.catalogue import space_table
from autoscale.workflows.progress import Progress

HUGE = 10**30 + 1


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 40 columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")


def shown(frame: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> str:
    show_table(frame, title="A table", columns=tuple(frame.columns))
    return capsys.readouterr().out


def test_the_table_of_spaces_holds_numbers() -> None:
    table = space_table().set_index("space")
    assert table.networks["nas-bench-macro"] == 6561
    for column in ("networks", "macs_least", "macs_median", "macs_most"):
        assert all(isinstance(value, int | np.integer) for value in table[column])
    assert all(type(value) is int for value in table.networks)
    assert (table.macs_least <= table.macs_median).all()
    assert (table.macs_median <= table.macs_most).all()


def test_counts_have_a_unit_and_large_numbers_of_networks_an_exponent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame = pd.DataFrame({"networks": [5_971_968, 125 * 10**16], "macs_least": [385_814_752, 12]})
    output = shown(frame.astype({"networks": object}), capsys)
    for cell in ("5,971,968", "1.25e+18", "385.8M", "12"):
        assert cell in output.split()


def test_missing_numbers_are_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    output = shown(pd.DataFrame({"macs": [math.nan, 1e6], "source": ["", "[bold]"]}), capsys)
    assert "-" in output.split()
    assert "[bold]" in output


def test_a_table_without_rows_has_its_heads(capsys: pytest.CaptureFixture[str]) -> None:
    assert "trial" in shown(pd.DataFrame({"trial": [], "macs": []}), capsys)


@pytest.mark.usefixtures("narrow")
def test_on_a_narrow_terminal_text_wraps_and_numbers_and_words_stay_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    description = "many words that say at length what this space is for"
    row = {"space": "mbconv-small", "networks": 5_971_968, "macs_least": 385_814_752}
    output = shown(pd.DataFrame([row | {"description": description}]), capsys)
    words = output.split()
    for cell in ("mbconv-small", "5,971,968", "385.8M", "networks", *description.split()):
        assert cell in words
    assert description not in output


@pytest.mark.usefixtures("narrow")
def test_a_table_that_cannot_fit_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = {f"macs_{name}": [385_814_752] for name in "abcdefgh"}
    output = shown(pd.DataFrame(numbers), capsys)
    assert output.split().count("385.8M") == 8
    assert max(map(len, output.splitlines())) > 40


def test_rows_become_plain_data(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame(
        {
            "networks": pd.Series([HUGE, 3], dtype=object),
            "macs": np.array([2**53 + 1, 4]),
            "top1": [82.123456789012, math.nan],
            "source": ["a", None],
            "front": [True, False],
        }
    )
    rows = [
        {
            "networks": HUGE,
            "macs": 2**53 + 1,
            "top1": 82.123456789012,
            "source": "a",
            "front": True,
        },
        {"networks": 3, "macs": 4, "top1": None, "source": None, "front": False},
    ]
    assert records(frame) == rows
    show_json(records(frame))
    assert json.loads(capsys.readouterr().out) == rows


def test_spaces_in_json_are_plain_numbers() -> None:
    rows = json.loads(json.dumps(records(space_table()), allow_nan=False))
    for row in rows:
        assert isinstance(row["networks"], int)
        assert isinstance(row["macs_median"], int)


# Progress

STANDING = Progress(
    done=3,
    total=14,
    note="trial 2: failed, the loss became nan",
    best="trial 1: accuracy 0.808 at 1.282M multiply-adds",
    seconds_left=61.0,
    failed=1,
    front=("0.598 at 635.5K", "0.808 at 1.282M"),
)


def test_progress_is_plain_lines_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as listener:
        listener.progress(STANDING)
        listener.progress(replace(STANDING, done=4, note="trial 3: fine", failed=0))
    assert capsys.readouterr().err.splitlines() == [
        "[3/14] trial 2: failed, the loss became nan | best trial 1: accuracy 0.808 at 1.282M "
        "multiply-adds | 1 failed | 1 min 1 s left",
        "[4/14] trial 3: fine | best trial 1: accuracy 0.808 at 1.282M multiply-adds | "
        "1 min 1 s left",
    ]


def test_a_terminal_shows_best_front_failures_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with Live() as listener:
        listener.progress(STANDING)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    last = shown[shown.index("left") :]  # behind the line that scrolls away
    assert "best trial 1: accuracy 0.808 at 1.282M multiply-adds" in last
    assert "3/14" in last
    assert "1 min 1 s left" in last
    assert "1 failed   front 0.598 at 635.5K · 0.808 at 1.282M" in last


def test_a_finished_job_leaves_nothing_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with Live() as listener:
        listener.progress(replace(STANDING, done=14))
    shown = capsys.readouterr().err
    assert "[14/14]" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "front" not in shown
