"""Trainings in bfloat16, and on other processors than they were begun on."""

from pathlib import Path
from typing import Any

import pytest
import torch

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.errors import RunConflict
from autoscale.jobs import record
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.network.kernels.library import compiler
from autoscale.runs.checkpoint import read_snapshot
from autoscale.runs.store import StepFolder
from tests.conftest import Heard

SMALL = Architecture(
    resolution=16,
    stem=Stem(width=8),
    stages=(
        Stage(width=8, expand_ratio=1),
        Stage(width=16, expand_ratio=2, stride=2, depth=2),
    ),
    head=Head(width=16),
    num_classes=2,
)
compiled = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")


@pytest.fixture
def design(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.to_yaml())
    return str(path)


def short(design: str, run: Path, photos: Path, **options: Any) -> Trained:
    asked = {"epochs": 3, "batch_size": 8, "drop_path": 0.2, "dropout": 0.1}
    return train(design, run, data=str(photos), **(asked | options))


@compiled
def test_a_training_in_bfloat16_goes_on_to_the_same_bits_and_in_no_other_precision(
    design: str, photos: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = short(design, whole, photos, precision="bfloat16")
    with pytest.raises(KeyboardInterrupt):
        short(design, broken, photos, precision="bfloat16", listener=Heard(stop_after=1))
    with pytest.raises(RunConflict, match="--precision bfloat16 there, asked for --precision flo"):
        short(design, broken, photos)
    found = short(design, broken, photos, precision="bfloat16")
    assert [(e.loss, e.accuracy) for e in found.epochs] == [
        (e.loss, e.accuracy) for e in expected.epochs
    ]
    one, other = (read_snapshot(run / "train" / "last.safetensors") for run in (whole, broken))
    assert one is not None
    assert other is not None
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert all(t.dtype != torch.bfloat16 for t in one.tensors.values())


@compiled
def test_bfloat16_trains_otherwise_than_float32(design: str, photos: Path, tmp_path: Path) -> None:
    one, other = (
        short(design, tmp_path / precision, photos, precision=precision).epochs[-1].loss
        for precision in ("float32", "bfloat16")
    )
    assert one != other
    assert one == pytest.approx(other, rel=0.1)


@compiled
def test_a_search_records_its_precision_and_the_grid_s_trainings_would_keep_to_it(
    photos: Path, tmp_path: Path
) -> None:
    search_baseline(
        tmp_path / "run", data=str(photos), space="tiny", resolution=16, trials=1, epochs=1,
        limit=24, sampler="random", precision="bfloat16",
    )  # fmt: skip
    kept = StepFolder(tmp_path / "run", "search").read()
    assert kept is not None
    assert kept["settings"]["kernels"] == "native-bfloat16"
    assert kept["notes"]["precision"] == "bfloat16"


def test_another_processor_than_a_training_was_begun_on_is_told(
    design: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for processor, told in (("AVX2", []), ("AVX512", ["processor AVX2 and goes on with AVX512"])):
        monkeypatch.setattr(record, "instructions", lambda name=processor: name)
        hears = Heard()
        short(design, tmp_path / "run", photos, epochs=1, kernels="torch", listener=hears)
        lines = [line for line in hears.notices if "goes on with" in line]
        assert [line.partition("begun with ")[2].partition(";")[0] for line in lines] == told
