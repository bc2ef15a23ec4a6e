import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.errors import RunConflict, StorageProblem
from autoscale.runs import store
from autoscale.runs.settings import difference
from autoscale.runs.store import (
    Journal,
    StepFolder,
    read_json,
    require_folder,
    write_json,
    write_text,
)


def test_a_journal_returns_what_was_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "trials.jsonl")
    assert journal.read() == []
    for number in range(3):
        journal.append({"number": number})
    assert journal.read() == [{"number": 0}, {"number": 1}, {"number": 2}]


@given(st.integers(0, 40))
def test_a_torn_last_line_costs_only_itself(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "trials.jsonl")
        for number in range(3):
            journal.append({"number": number, "name": "a network"})
        whole = journal.path.read_bytes()
        journal.path.write_bytes(whole[: len(whole) - cut])
        kept = journal.read()
        assert [record["number"] for record in kept] == list(range(len(kept)))
        assert len(kept) == whole[: len(whole) - cut].count(b"\n")
        journal.append({"number": "next"})
        assert journal.read() == [*kept, {"number": "next"}]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"number": 0}\n{"num\n{"number": 2}\n')
    with pytest.raises(RunConflict, match=r"trials\.jsonl:2: not a record"):
        Journal(path).read()


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "trials.jsonl")
    journal.append({"number": 0})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(StorageProblem, match=r"No space left on device; free some space"):
        journal.append({"number": 1})
    with pytest.raises(StorageProblem, match="No space left"):
        write_text(tmp_path / "baseline.yaml", "text")
    monkeypatch.undo()
    assert journal.read() == [{"number": 0}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trials.jsonl"]


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_folder_named_as_a_file_to_write_is_refused(name: str) -> None:
    with pytest.raises(StorageProblem, match="which is a folder; name a file in it"):
        write_text(Path(name), "text")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"one": 1})
    write_json(path, {"two": 2})
    assert read_json(path) == {"two": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    assert read_json(tmp_path / "missing.json") is None


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(RunConflict, match=r"settings\.json: not readable as JSON"):
        StepFolder(tmp_path, ".").read()


def test_a_step_goes_on_with_the_same_settings_and_refuses_others(tmp_path: Path) -> None:
    step = StepFolder(tmp_path, "search")
    journal = Journal(step.file("trials.jsonl"))
    step.begin({"seed": 1}, notes={}, journal=journal)  # nothing done: binds nobody
    step.begin({"seed": 0, "recipe": {"epochs": 4}}, notes={"data": "here"}, journal=journal)
    journal.append({"number": 0})
    step.begin({"seed": 0, "recipe": {"epochs": 4}}, notes={"data": "elsewhere"}, journal=journal)
    found = step.read()
    assert found is not None
    assert found["notes"] == {"data": "elsewhere"}
    with pytest.raises(RunConflict, match=r"recipe\.epochs is 4 there, asked for 5"):
        step.begin({"seed": 0, "recipe": {"epochs": 5}}, notes={}, journal=journal)
    step.forget("settings.json")
    with pytest.raises(RunConflict, match=r"holds work, but its settings\.json is gone"):
        step.begin({"seed": 0, "recipe": {"epochs": 4}}, notes={}, journal=journal)


def test_a_step_of_another_format_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "search" / "settings.json", {"format": 99, "settings": {}})
    with pytest.raises(RunConflict, match=r"was written by a newer autoscale: format 99.*upgrade"):
        StepFolder(tmp_path, "search").begin({}, notes={}, journal=Journal(tmp_path / "none"))
    for other in (0, -1, None, True, "1", 1.5, [1]):
        write_json(tmp_path / "search" / "settings.json", {"format": other, "settings": {}})
        with pytest.raises(RunConflict, match=r"has format .*, this autoscale reads 2"):
            StepFolder(tmp_path, "search").read()


def test_a_result_carries_its_version_and_one_without_is_of_the_first(tmp_path: Path) -> None:
    step = StepFolder(tmp_path, "search")
    assert step.read_result("baseline.json") is None
    step.write_result("baseline.json", {"trial": 3})
    assert step.read_result("baseline.json") == {"format": 1, "trial": 3}
    write_json(step.file("baseline.json"), {"trial": 3})
    assert step.read_result("baseline.json") == {"trial": 3}
    write_json(step.file("baseline.json"), {"format": 2, "trial": 3})
    with pytest.raises(RunConflict, match=r"baseline\.json was written by a newer autoscale"):
        step.read_result("baseline.json")


def test_a_folder_whose_work_cannot_be_read_stays_as_it_was(tmp_path: Path) -> None:
    step = StepFolder(tmp_path, "search")
    journal = Journal(step.file("trials.jsonl"))
    step.begin({}, notes={"trials": 3}, journal=journal)
    before = step.file("settings.json").read_bytes()

    def refuse(journal: Journal) -> None:
        raise RunConflict("line 3")

    with pytest.raises(RunConflict, match="line 3"):
        step.begin({}, notes={"trials": 4}, journal=journal, read=refuse)
    assert step.file("settings.json").read_bytes() == before


def test_reading_a_journal_leaves_a_torn_line_to_who_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"number": 0}\n{"number":')
    assert Journal(path).read() == [{"number": 0}]
    with path.open("a") as other:  # another process ends its line
        other.write(" 1}\n")
    assert Journal(path).read() == [{"number": 0}, {"number": 1}]


def test_a_journal_whose_ends_of_lines_were_changed_is_not_taken_for_one_torn_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_bytes(b'{"number": 0}\r{"number": 1}\r')
    with pytest.raises(RunConflict, match=r"trials\.jsonl:1: not a record"):
        Journal(path).read()
    path.write_bytes(b'{"number": 0}\r\n{"number": 1}\r\n')
    assert Journal(path).read() == [{"number": 0}, {"number": 1}]


@pytest.mark.parametrize("torn", [b"{", b"x" * 5000, b"x" * 100_000])
@pytest.mark.parametrize("whole", [b"", b'{"number": 0}\n', b'{"number": 0}\n' * 1000])
def test_a_torn_line_of_any_length_is_cut_off_before_the_next_one(
    tmp_path: Path, whole: bytes, torn: bytes
) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_bytes(whole + torn)
    Journal(path).append({"number": 1})
    assert path.read_bytes() == whole + b'{"number": 1}\n'


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[" * 100_000, '{"a":' * 100_000])
def test_json_that_is_no_plain_data_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RunConflict, match="not readable as JSON"):
        read_json(tmp_path / "a.json")


def test_two_processes_do_not_share_a_step(tmp_path: Path) -> None:
    step = StepFolder(tmp_path, "search")
    refusal = pytest.raises(RunConflict, match="another process works in")
    with step.locked(), refusal, step.locked():
        pass
    with step.locked():
        pass


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            StorageProblem, match="file is a file, so nothing can be put into it; name a folder"
        ),
        StepFolder(tmp_path / "file", "search").locked(),
    ):
        pass


def test_a_folder_is_asked_for_before_work_whether_it_is_there_or_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for free in (tmp_path, tmp_path / "new" / "folder", Path("new")):
        require_folder(free)
    for place in (file, file / "deep" / "er"):
        with pytest.raises(StorageProblem, match=f"{file} is a file, so nothing can be put into"):
            require_folder(place)
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_is_refused_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = tmp_path / "shut"
    shut.mkdir()
    allowed = os.access  # root may write anywhere, so modes tell nothing here
    monkeypatch.setattr(os, "access", lambda path, mode: path != shut and allowed(path, mode))
    for place in (shut, shut / "new"):
        with pytest.raises(StorageProblem, match=f"{shut} cannot be written; change its owner"):
            require_folder(place)
    require_folder(tmp_path)


def test_settings_that_differ_are_named_on_both_sides() -> None:
    same = {"settings": {"a": 1, "b": {"c": 2}}}
    assert difference(same, same) == ""
    said = difference(
        {"settings": {"a": 1, "b": {"c": 2}, "d": "x" * 99, "e": [[1], {"f": None}]}},
        {"settings": {"a": False, "b": {"c": 3}, "e": [[1], {"f": [1, 2]}]}},
    )
    assert said == (
        "a is 1 there, asked for false, b.c is 2 there, asked for 3, another d, "
        "e.2.f is none there, asked for 1, 2"
    )


def test_a_record_is_one_line_of_json(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append({"name": "two\nlines"})
    assert [json.loads(line) for line in journal.path.read_text().splitlines()] == [
        {"name": "two\nlines"}
    ]
