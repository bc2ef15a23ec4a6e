from __future__ import annotations

import gc
import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from autoscale.cli.app import main
from autoscale.cli.terminal import NARROW, Live, records, say, show_json, show_table, working
from autoscale.errors import InvalidSetting
from autoscale.jobs.search.spaces import space_table
from autoscale.listener import Progress

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


def test_what_rounds_to_nothing_has_no_sign(capsys: pytest.CaptureFixture[str]) -> None:
    output = shown(pd.DataFrame({"accuracy": [-1e-9], "temperature": [-0.0]}), capsys)
    assert output.splitlines()[-1].split() == ["0.0000", "0"]


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


def test_names_of_files_do_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as listener:
        listener.notice("skipped \x1b[31m.jpg: no image")
    assert "\\x1b[31m.jpg" in capsys.readouterr().err
    frame = pd.DataFrame({"image": ["a\nb"]})
    assert "a\\nb" in shown(frame, capsys)


def test_progress_is_plain_lines_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as listener:
        listener.progress(STANDING)
    assert capsys.readouterr().err.splitlines() == [
        "[3/14] trial 2: failed, the loss became nan | best trial 1: accuracy 0.808 at",
        "1.282M multiply-adds | 1 failed | 1 min 1 s left",
    ]


def test_a_log_gets_failures_and_a_line_of_progress_a_minute_and_none_before_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("autoscale.cli.terminal.time.monotonic", lambda: now)
    fine = replace(STANDING, note="trial 9: fine", failed=0)
    with Live() as listener:
        for done, seconds, failed in [
            (1, 10, 0), (2, 51, 0), (3, 5, 1), (4, 5, 1), (5, 56, 1), (6, 5, 1), (14, 70, 1),
        ]:  # fmt: skip
            now += seconds
            listener.progress(replace(fine, done=done, failed=failed))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("]")[0] for line in lines if line.startswith("[")] == [
        "[2/14", "[3/14", "[5/14",
    ]  # fmt: skip
    assert "trial 9" in lines[1]  # the failure says what failed


def test_a_sentence_in_a_file_wraps_between_words_and_keeps_a_long_one_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = "runs/" + "long" * 30 + "/search"
    say(f"{'word ' * 30}-> {path}")
    lines = capsys.readouterr().out.splitlines()
    assert path in lines
    assert all(len(line) <= 80 for line in lines if line != path)


def test_a_table_too_wide_for_a_file_goes_without_spare_columns_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame = pd.DataFrame({f"macs_{name * 10}": [385_814_752] for name in "abcdef"})
    columns = tuple(frame.columns)
    show_table(frame, title="A table", columns=columns, spare=(columns[1], columns[0], columns[5]))
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    assert output.splitlines()[1].split() == list(columns[2:])
    assert output.splitlines()[-1] == NARROW


@pytest.mark.usefixtures("narrow")
def test_a_terminal_wide_enough_shows_every_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    frame = pd.DataFrame({f"macs_{name * 10}": [385_814_752] for name in "abcdef"})
    columns = tuple(frame.columns)
    show_table(frame, title="A table", columns=columns, spare=columns)
    assert NARROW not in capsys.readouterr().out


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


def test_garbage_is_looked_for_rarely_until_a_command_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, seen = gc.get_threshold(), []

    def rows() -> list[dict[str, int]]:
        seen.append(gc.get_threshold())
        with working():
            seen.append(gc.get_threshold())
        raise InvalidSetting("no such thing")

    monkeypatch.setattr("autoscale.jobs.search.spaces.space_rows", rows)
    assert main(["spaces"]) == 2
    assert capsys.readouterr().err.strip() == "autoscale: no such thing"
    assert seen[0][0] > usual[0]
    assert seen[1] == gc.get_threshold() == usual


def test_words_between_colons_are_no_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    say("photos/:cat:")
    assert capsys.readouterr().out == "photos/:cat:\n"
