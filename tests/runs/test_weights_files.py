"""Files of weights: what is written is read back; nothing that could run code is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.style import Style
from autoscale.errors import InvalidSetting, StorageProblem
from autoscale.runs import store
from autoscale.runs.weights import KEY, Header, read_shapes, read_weights, write_weights

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}


class Trap:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)


def test_weights_and_header_come_back(tmp_path: Path) -> None:
    header = Header(
        classes=("a", "<b>"),
        style=Style(padding="same", norm_eps=1e-5),
        preparation=Preparation(mean=(0.4, 0.5, 0.6), interpolation="bicubic", white_level=1023),
        accuracy=0.75,
    )
    write_weights(tmp_path / "w.safetensors", STATE, header)
    found = read_weights(tmp_path / "w.safetensors")
    assert found.header == header
    assert set(found.state) == set(STATE)
    assert all(torch.equal(found.state[name], value) for name, value in STATE.items())


def test_tensors_that_share_memory_or_are_no_rows_of_it_are_written_whole(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {"whole": base, "turned": base.T, "part": base[:, 1]}
    write_weights(tmp_path / "w.safetensors", state, Header())
    found = read_weights(tmp_path / "w.safetensors").state
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_file_of_another_program_has_an_empty_header(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model.safetensors", {"format": "pt"})
    assert read_weights(tmp_path / "model.safetensors").header == Header()


def test_a_header_of_a_later_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    text = json.dumps({"accuracy": 0.5, "mood": "good"})
    save_file(STATE, tmp_path / "w.safetensors", {"autoscale": text})
    assert read_weights(tmp_path / "w.safetensors").header == Header(accuracy=0.5)


def test_headers_of_earlier_versions_say_what_they_said_then(tmp_path: Path) -> None:
    said = {"padding": "same", "norm_eps": 1e-5, "mean": [0.4] * 3, "deviation": [0.2] * 3}
    save_file(STATE, tmp_path / "w.safetensors", {"autoscale": json.dumps(said)})
    header = read_weights(tmp_path / "w.safetensors").header
    assert header.style == Style(padding="same", norm_eps=1e-5)
    assert header.preparation == Preparation(mean=(0.4,) * 3, deviation=(0.2,) * 3)


@pytest.mark.parametrize(
    "text",
    ["{", '{"accuracy": "high"}', "[1]", '{"deviation": [0.0, 0.1, 0.1]}', '{"norm_eps": 2}',
     '{"mean": [127, 127, 127]}', '{"interpolation": "lanczos"}', '{"white_level": 0}'],
)  # fmt: skip
def test_a_damaged_header_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    save_file(STATE, tmp_path / "w.safetensors", {"autoscale": text})
    with pytest.raises(InvalidSetting, match="header: ") as refusal:
        read_weights(tmp_path / "w.safetensors")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("nest", [lambda s: s, lambda s: {"epoch": 3, "state_dict": s}])
def test_pytorch_files_of_tensors_load_with_the_wrapping_taken_off(tmp_path: Path, nest) -> None:  # type: ignore[no-untyped-def]
    wrapped: dict[str, Tensor] = {f"module.{name}": value for name, value in STATE.items()}
    torch.save(nest(wrapped), tmp_path / "w.pth")
    found = read_weights(tmp_path / "w.pth").state
    assert set(found) == set(STATE)


def test_a_file_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv.weight": Trap()}, "w.pth")
    with pytest.raises(InvalidSetting, match="loads nothing that could run code"):
        read_weights("w.pth")
    assert not Path("sprung").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(InvalidSetting) as refusal:
        read_weights(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["w.pth", "w.SAFETENSORS", "w", "w.pt.safetensors"])
def test_what_a_file_is_tells_its_content_and_not_its_name(tmp_path: Path, name: str) -> None:
    write_weights(tmp_path / "ours", STATE, Header(seed=3))
    (tmp_path / name).write_bytes((tmp_path / "ours").read_bytes())
    assert read_weights(tmp_path / name).header.seed == 3
    for zipped in (True, False):
        torch.save(STATE, tmp_path / name, _use_new_zipfile_serialization=zipped)
        assert set(read_weights(tmp_path / name).state) == set(STATE)


def test_the_same_weights_are_the_same_bytes_and_other_programs_read_them(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        write_weights(tmp_path / name, STATE, Header(classes=("é", '"', "\n"), seed=1))
    contents = {(tmp_path / name).read_bytes() for name in ("a", "b", "c", "d")}
    assert len(contents) == 1
    (content,) = contents
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(content[8 : 8 + length])["__metadata__"]) == ["format", KEY]
    found = load_file(tmp_path / "a")
    assert all(torch.equal(found[name], value) for name, value in STATE.items())


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"lr": 0.1}, tmp_path / "w.pth")
    with pytest.raises(InvalidSetting, match="holds no state dict of tensors"):
        read_weights(tmp_path / "w.pth")
    with pytest.raises(InvalidSetting, match="no such file of weights"):
        read_weights(tmp_path / "none.safetensors")


def test_a_full_disk_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, STATE, Header(accuracy=0.1))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(StorageProblem, match="No space left"):
        write_weights(path, STATE, Header(accuracy=0.2))
    assert read_weights(path).header.accuracy == 0.1
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_folder_and_a_list_of_parts_are_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"is a folder; name a file of weights in it$"):
        read_weights(tmp_path)
    write_weights(tmp_path / "model.safetensors", STATE, Header())
    with pytest.raises(InvalidSetting, match=r"in it, such as model\.safetensors"):
        read_weights(tmp_path)
    parts = tmp_path / "model.safetensors.index.json"
    parts.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(InvalidSetting, match="lists the parts of weights and holds none"):
        read_weights(parts)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_shapes_are_read_without_numbers(tmp_path: Path, name: str) -> None:
    if name.endswith(".pth"):
        torch.save({"state_dict": {f"module.{n}": v for n, v in STATE.items()}}, tmp_path / name)
    else:
        write_weights(tmp_path / name, STATE, Header())
    found = read_shapes(tmp_path / name)
    assert {n: v.shape for n, v in found.items()} == {n: v.shape for n, v in STATE.items()}
    assert all(value.is_meta for value in found.values())


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_file_that_was_cut_short_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    state = {"conv.weight": torch.arange(4096.0)}
    if name.endswith(".pth"):
        torch.save(state, tmp_path / name)
    else:
        write_weights(tmp_path / name, state, Header())
    whole = (tmp_path / name).read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 40):
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(InvalidSetting) as refusal:
            read_weights(tmp_path / name)
        assert "\n" not in str(refusal.value)
        assert str(tmp_path / name) in str(refusal.value)
