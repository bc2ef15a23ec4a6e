"""Data sets of the Hugging Face hub: fetched once, or read as the cache holds them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from autoscale.errors import DataProblem
from tests.datasets import made_sources as made
from tests.datasets.sources import read

pytest.importorskip("pyarrow")


def test_a_data_set_of_the_hub_is_read_from_its_cache_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    made.in_hub(tmp_path / "cache")
    found = read("hf:me/photos")
    assert (len(found.train) + len(found.validation), found.classes) == (16, ("0", "1"))
    assert "read as the cache holds it (revision aaaaaaaaaaaa)" in found.notices[0]
    assert read("hf:me/photos@" + "a" * 40).fingerprint == found.fingerprint
    with pytest.raises(DataProblem, match=r"huggingface_hub.* not installed: pip install"):
        read("hf:me/other")


class _Hub:
    """What stands for huggingface_hub: it holds one data set, or cannot be reached."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.asked = folder, 0

    def snapshot_download(self, repository: str, **given: Any) -> str:
        self.asked += 1
        assert (repository, given["repo_type"], given["revision"]) == (
            "me/photos",
            "dataset",
            "main",
        )
        if self.folder is None:
            raise ConnectionError("no network")
        return str(self.folder)


def test_what_the_hub_has_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = made.in_hub(tmp_path / "elsewhere") / "datasets--me--photos/snapshots" / ("a" * 40)
    online = _Hub(there)
    monkeypatch.setitem(sys.modules, "huggingface_hub", online)
    found = read("hf:me/photos")
    assert len(found.train)
    assert found.notices == read("hf:me/photos").notices
    assert not any("cache" in notice for notice in found.notices)
    assert online.asked == 1


def test_without_a_network_the_cache_serves_or_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", _Hub(None))
    with pytest.raises(DataProblem, match=r"could not be fetched \(ConnectionError: no network\)"):
        read("hf:me/photos")
    made.in_hub(tmp_path / "cache")
    assert "the hub cannot be reached" in read("hf:me/photos").notices[0]
