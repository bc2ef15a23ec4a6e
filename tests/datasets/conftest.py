"""What all tests of data sets begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscale.datasets.sources import hub


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    hub._found.cache_clear()
