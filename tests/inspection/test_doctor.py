"""What would spoil hours of work, found before."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from autoscale import distribution
from autoscale.cli.app import main
from autoscale.datasets.survey import survey
from autoscale.distribution import install
from autoscale.inspection import doctor
from autoscale.inspection.doctor import Finding, examine
from autoscale.jobs.workers.kernels import KernelsUnavailable


def finding(subject: str, **asked: object) -> Finding:
    return next(one for one in examine(**asked) if one.subject == subject)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "load_kernels", lambda name: None)


def test_a_survey_counts_what_can_be_read(photos: Path) -> None:
    whole = (photos / "red" / "00.png").read_bytes()
    (photos / "red" / "torn.png").write_bytes(whole[: len(whole) // 2])
    (photos / "blue" / "notes.pdf").write_text("x")
    Image.new("RGB", (9, 300)).save(photos / "green" / "tall.jpg")
    found = survey(str(photos))
    assert found.counts == {"train": {"blue": 14, "green": 15, "red": 14}}
    assert found.images == 43
    assert (min(found.shapes[0]), min(found.shapes[-1])) == (9, 20)
    assert len(found.unreadable) == 2
    assert any(line.startswith("red/torn.png: ") for line in found.unreadable)
    assert any(line.startswith("blue/notes.pdf: ") for line in found.unreadable)


def test_a_survey_looks_at_every_split(photos: Path, tmp_path: Path) -> None:
    split = tmp_path / "split"
    shutil.copytree(photos, split / "test")
    shutil.copytree(photos, split / "val")
    shutil.copytree(photos, split / "train")
    shutil.rmtree(split / "val" / "red")
    found = survey(str(split))
    assert found.counts["validation"] == {"blue": 14, "green": 14, "red": 0}
    assert sum(found.counts["test"].values()) == 42


def test_good_images_pass(photos: Path, tmp_path: Path) -> None:
    findings = examine(run=tmp_path, data=str(photos))
    assert not [one for one in findings if one.verdict == "fail"]
    by_subject = {one.subject: one for one in findings}
    assert by_subject["data"].found == "42 readable images (42 train), 3 classes"
    assert by_subject["classes"].verdict == "ok"
    assert by_subject["unreadable"].verdict == "ok"
    assert "20 to 20 pixels" in by_subject["sizes"].found


def test_what_was_understood_of_the_images_is_told(photos: Path, tmp_path: Path) -> None:
    split = tmp_path / "split"
    shutil.copytree(photos, split / "Training")
    assert finding("layout", run=tmp_path, data=str(split)).verdict == "ok"
    shutil.copytree(photos / "red", split / "test")
    found = finding("layout", run=tmp_path, data=str(split))
    assert found.verdict == "warn"
    assert found.found.startswith(
        "3 classes: blue, green, red; 42 train; not used: test/; test/ holds 14 pictures without"
    )


def test_a_class_that_a_split_lacks_is_a_warning(photos: Path, tmp_path: Path) -> None:
    split = tmp_path / "split"
    shutil.copytree(photos, split / "train")
    shutil.copytree(photos / "red", split / "val" / "red")
    found = finding("classes", run=tmp_path, data=str(split))
    assert (found.verdict, found.found) == ("warn", "no validation image of 'blue', 'green'")


def test_the_same_picture_in_two_classes_is_a_warning(photos: Path, tmp_path: Path) -> None:
    assert finding("duplicates", run=tmp_path, data=str(photos)).verdict == "ok"
    shutil.copy(photos / "red" / "00.png", photos / "blue" / "zz.png")
    found = finding("duplicates", run=tmp_path, data=str(photos))
    assert found.verdict == "warn"
    assert "in two classes (blue/zz.png = red/00.png)" in found.found


def test_a_class_of_three_images_is_a_warning(photos: Path, tmp_path: Path) -> None:
    for path in sorted((photos / "red").iterdir())[3:]:
        path.unlink()
    found = finding("classes", run=tmp_path, data=str(photos))
    assert found.verdict == "warn"
    assert "'red' has 3" in found.found


@pytest.mark.parametrize("ratio", [1.3, 1.4])
def test_classes_of_very_different_sizes_are_a_warning_with_a_way_out(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ratio: float
) -> None:
    monkeypatch.setattr(doctor, "UNEVEN", ratio)
    for path in sorted((photos / "red").iterdir())[10:]:
        path.unlink()
    if ratio == 1.4:  # 14 images are not more than that
        found = finding("classes", run=tmp_path, data=str(photos))
        assert (found.verdict, found.found) == ("ok", "10 to 14 training images each")
        return
    found = finding("uneven classes", run=tmp_path, data=str(photos))
    assert found.verdict == "warn"
    assert found.found.endswith("has 14 training images and 'red' 10, 1.4 to 1")
    assert "--metric balanced-accuracy" in found.advice
    assert "--loss logit-adjusted:1" in found.advice


def test_few_images_of_a_class_and_uneven_ones_are_two_warnings(
    photos: Path, tmp_path: Path
) -> None:
    for path in sorted((photos / "red").iterdir())[3:]:
        path.unlink()
    few, uneven = (
        finding(subject, run=tmp_path, data=str(photos))
        for subject in ("classes", "uneven classes")
    )
    assert few.found.startswith("1 of 3 with fewer than 10")
    assert uneven.found.endswith("'red' 3, 4.7 to 1")


def test_a_class_without_a_readable_image_fails(photos: Path, tmp_path: Path) -> None:
    for path in (photos / "red").iterdir():
        path.write_bytes(b"")
    assert finding("classes", run=tmp_path, data=str(photos)).verdict == "fail"
    unreadable = finding("unreadable", run=tmp_path, data=str(photos))
    assert (unreadable.verdict, unreadable.found[:12]) == ("warn", "14 not read:")


def test_classes_too_small_to_be_cut_fail(photos: Path, tmp_path: Path) -> None:
    for image in photos.glob("*/*"):
        if image.stem not in ("00", "01"):
            image.unlink()
    found = finding("cut", run=tmp_path, data=str(photos))
    assert found.verdict == "fail"
    assert "leaves 0 validation images of the 6 of its 3 classes" in found.found


def test_images_that_are_not_there_fail(tmp_path: Path) -> None:
    found = finding("data", run=tmp_path, data=str(tmp_path / "nowhere"))
    assert found.verdict == "fail"
    assert "no such folder" in found.found


def test_a_device_that_is_not_there_fails(tmp_path: Path) -> None:
    assert finding("device", run=tmp_path, device="potato").verdict == "fail"


def test_kernels_that_cannot_be_compiled_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(name: str) -> None:
        raise KernelsUnavailable("no C++ compiler is found")

    monkeypatch.setattr(doctor, "load_kernels", unavailable)
    assert finding("kernels", run=tmp_path).verdict == "warn"


@pytest.mark.parametrize(
    ("free", "verdict"), [(10 * 2**30, "ok"), (2**30, "warn"), (2**20, "fail")]
)
def test_a_disk_that_is_nearly_full_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    found = finding("disk", run=tmp_path / "not" / "yet" / "there")
    assert found.verdict == verdict
    assert str(tmp_path) in found.found
    assert not (tmp_path / "not").exists()


def test_a_run_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert finding("disk", run=tmp_path / "file" / "run").verdict == "fail"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert finding("disk", run=tmp_path / "run").verdict == "fail"


def test_little_memory_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_free_memory", lambda: 2**28)
    assert finding("memory", run=tmp_path).verdict == "warn"


def test_a_missing_extra_is_named_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "find_spec", lambda name: None)
    found = finding("extra export", run=tmp_path)
    assert "not installed: onnx, onnxscript, onnxruntime" in found.found
    assert install("export") in found.advice


def test_the_command_exits_with_1_only_if_something_fails(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--run", str(tmp_path)]
    assert main(["doctor", *run, "--data", str(photos)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "ok    data: 42 readable images" in shown.out
    assert main(["doctor", *run, "--data", str(tmp_path / "no"), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert {one["verdict"] for one in answer["findings"]} >= {"ok", "fail"}
    assert main(["doctor", *run, "--data", "synthetic"]) == 0


def test_every_extra_that_is_offered_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {*distribution.EXTRAS, "test"} == {*project["optional-dependencies"]}
