"""Parquet files that were damaged or hold something else: read, or refused in one line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.robustness.attempts import attempt, is_clear, seeds
from tests.robustness.mutations import HOSTILE, damaged_bytes
from tests.robustness.test_image_files import drawn, saved, unusual

pyarrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

LABELS: tuple[Any, ...] = (0, 1, 2, -1, 10**18, 1.5, float("nan"), None, "red", "", "\x1b[2J", True,
                           b"red", [1], {"a": 1})  # fmt: skip
CONTENTS: tuple[Any, ...] = (None, b"", b"torn", b"\x00" * 300, b"<svg/>")


def rows(rng: random.Random) -> dict[str, Any]:
    """Columns of 30 right images."""
    images = [{"bytes": saved(drawn("RGB", rng), "PNG"), "path": None} for _ in range(30)]
    return {"image": images, "label": [number % 3 for number in range(30)]}


def changed(columns: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The columns with one thing wrong."""
    place = rng.randrange(30)
    kind = rng.choice(("image", "image", "label", "labels", "missing", "renamed", "type", "empty",
                       "struct", "more", "none"))  # fmt: skip
    if kind == "image":
        some = unusual(rng) if rng.random() < 0.6 else rng.choice(CONTENTS)
        columns["image"][place] = {"bytes": some, "path": rng.choice((None, "/dev/zero", ".."))}
    elif kind == "label":
        columns["label"][place] = rng.choice(LABELS)
    elif kind == "labels":
        columns["label"] = [rng.choice(LABELS)] * 30
    elif kind == "missing":
        del columns[rng.choice(("image", "label"))]
    elif kind == "renamed":
        old = rng.choice(("image", "label"))
        columns[rng.choice(("", "img", "labels", "naïve\x1b", "a" * 5000))] = columns.pop(old)
    elif kind == "type":
        columns[rng.choice(("image", "label"))] = [rng.choice(([1], "x", 3, None, b"x"))] * 30
    elif kind == "empty":
        columns = {name: values[:0] for name, values in columns.items()}
    elif kind == "struct":
        columns["image"] = [rng.choice(({"path": "x"}, {"bytes": 3}, {"bytes": "x"}, {}))] * 30
    elif kind == "more":
        columns["other"] = [rng.choice(("x", 1, None))] * 30
    else:
        columns["image"][place] = None
    return columns


@pytest.mark.parametrize("seed", seeds(24, 400))
def test_a_damaged_or_unusual_parquet_file_never_hurts(tmp_path: Path, seed: int) -> None:
    rng = random.Random(f"parquet {seed}")
    columns = rows(rng)
    bytes_alone = rng.random() < 0.3
    if not bytes_alone:
        columns = changed(columns, rng)
    try:
        table = pyarrow.table(columns)
    except (pyarrow.ArrowException, TypeError, ValueError):
        pytest.skip("Arrow itself makes no such file")
    if rng.random() < 0.3:
        names = rng.choice((["a", "b", "c"], ["a", "a", "b"], ["a"], *HOSTILE))
        told = {"info": {"features": {"label": {"names": names}}}}
        text = json.dumps(told if rng.random() < 0.7 else rng.choice(HOSTILE))
        table = table.replace_schema_metadata({"huggingface": text})
    folder = tmp_path / "photos"
    folder.mkdir()
    file = folder / rng.choice(("train.parquet", "train-00000-of-00001.parquet", "x.parquet"))
    try:
        parquet.write_table(table, file)
    except (pyarrow.ArrowException, OSError):
        pytest.skip("Arrow itself writes no such file")
    if bytes_alone:
        file.write_bytes(damaged_bytes(file.read_bytes(), rng))
    run = tmp_path / "run"
    # Images are read before a limit that no network keeps is refused.
    answer = attempt("search-baseline", "--space", "tiny", "--data", folder, "--run", run,
                     "--resolution", 16, "--max-flops", 1, "--kernels", "torch",
                     *(["--strict"] if rng.random() < 0.3 else []))  # fmt: skip
    assert answer.status in (1, 2)
    assert is_clear(answer)
    assert not run.exists()
