"""What other programs wrap around a state dict is taken off, in both file formats."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autoscale.errors import InvalidSetting
from autoscale.runs.checkpoint import write_snapshot
from autoscale.runs.state_dicts import NESTED, PREFIXES, unwrapped
from autoscale.runs.weights import read_weights
from autoscale.training.state import Snapshot

STATE = {
    "stem.0.weight": torch.ones(2, 3),
    "stem.1.weight": torch.ones(2),
    "head.classifier.weight": torch.zeros(2, 2),
}


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


@pytest.mark.parametrize(
    "prefix", ["", *PREFIXES, "module._orig_mod.", "model.module.", "_orig_mod.model.backbone."]
)
@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_prefixes_of_wrappers_are_taken_off(tmp_path: Path, prefix: str, kind: str) -> None:
    path = tmp_path / f"w.{kind}"
    save_file(prefixed(prefix), path) if kind == "safetensors" else torch.save(
        prefixed(prefix), path
    )
    assert set(read_weights(path).state) == set(STATE)


@pytest.mark.parametrize("key", [*NESTED, "anything"])
def test_state_dicts_are_found_in_checkpoints(tmp_path: Path, key: str) -> None:
    rest = {"epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, "metric": 0.5}
    torch.save({**rest, key: prefixed("module.")}, tmp_path / "w.pth.tar")
    assert set(read_weights(tmp_path / "w.pth.tar").state) == set(STATE)


def test_a_checkpoint_of_timms_training_script_loads_with_its_arguments(tmp_path: Path) -> None:
    arguments = argparse.Namespace(lr=0.1, mean=[0.5], data_dir="/photos", amp=False, opt=None)
    checkpoint = {
        "epoch": 7, "arch": "efficientnet_b0", "state_dict": STATE, "args": arguments, "version": 2,
        "optimizer": {"state": {0: {"step": 1}}, "param_groups": []}, "metric": 71.5,
        "state_dict_ema": {name: value + 1 for name, value in STATE.items()},
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "last.pth.tar")
    found = read_weights(tmp_path / "last.pth.tar").state
    assert torch.equal(found["stem.0.weight"], STATE["stem.0.weight"] + 1)  # the averaged ones


@pytest.mark.parametrize("prefix", ["student.", "lit.classifier.", "module.feature_extractor."])
@pytest.mark.parametrize("first", ["stem.0.weight", "_conv_stem.weight", "features.0.0.weight"])
def test_attributes_of_any_name_are_taken_off_too(prefix: str, first: str) -> None:
    state = {first: torch.zeros(1), "last.bias": torch.ones(1), "more.bias": torch.ones(2)}
    wrapped = {prefix + name: value for name, value in state.items()}
    found, notes = unwrapped(wrapped | {"loss.weight": torch.ones(1)}, Path("w.ckpt"))
    assert set(found) == set(state)
    assert notes
    both = wrapped | {f"teacher.{name}": value for name, value in state.items()}
    assert set(unwrapped(both, Path("w.ckpt"))[0]) == set(both)  # neither is the network


def test_attributes_around_a_module_of_the_users_are_taken_off() -> None:
    state = {"body.model.weight": torch.zeros(1), "body.bias": torch.ones(1)}
    wrapped = {f"lit.{name}": value for name, value in state.items()}
    assert set(unwrapped(wrapped, Path("w.ckpt"), own=state)[0]) == set(state)


def test_averaged_weights_of_torch_are_read_without_their_counter(tmp_path: Path) -> None:
    torch.save({"model_ema": {"n_averaged": torch.tensor(3), **prefixed("module.")}, "args": 1},
               tmp_path / "model.pth")  # fmt: skip
    assert set(read_weights(tmp_path / "model.pth").state) == set(STATE)


def test_what_a_training_module_holds_beside_its_network_is_left_aside_and_said(
    tmp_path: Path,
) -> None:
    state = {**prefixed("model."), "criterion.weight": torch.ones(2)}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.4"}, tmp_path / "last.ckpt")
    found = read_weights(tmp_path / "last.ckpt")
    assert set(found.state) == set(STATE)
    assert found.notes == ("criterion.weight of last.ckpt were left aside: not under model.",)


def test_a_module_of_the_users_keeps_names_that_begin_like_a_wrappers(tmp_path: Path) -> None:
    own = {**prefixed("backbone."), "final.weight": torch.ones(2)}
    torch.save({f"module.{name}": value for name, value in own.items()}, tmp_path / "w.pth")
    assert set(read_weights(tmp_path / "w.pth", own=own).state) == set(own)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": STATE, "best": np.float64(0.5)},
            r"object of numpy\.[\w.]*scalar; autoscale",
        ),
        ({"state_dict": STATE, "to": Path("/x")}, r"an object of pathlib\.\w+; autoscale loads no"),
        (torch.nn.Linear(2, 2), r"an object of torch\.nn\.modules\.linear\.Linear; autoscale"),
        ([STATE["stem.0.weight"]], "holds no state dict of tensors but a list"),
        ({"lr": 0.1, "epoch": 3}, "holds no state dict of tensors but lr, epoch"),
        ({}, "holds no state dict of tensors but nothing"),
        ({"state_dict": {**STATE, "config": "b0"}}, "no state dict of tensors but config"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InvalidSetting, match=message):
        read_weights(tmp_path / "w.pth")


def test_the_state_of_a_training_is_named_with_the_file_to_take(tmp_path: Path) -> None:
    snapshot = Snapshot((), {f"network/network.{n}": v for n, v in STATE.items()})
    write_snapshot(tmp_path / "last.safetensors", snapshot)
    with pytest.raises(InvalidSetting, match=r"name best\.safetensors beside it"):
        read_weights(tmp_path / "last.safetensors")


@pytest.mark.parametrize("wrapper", ["", "module.", "model._orig_mod."])
@pytest.mark.parametrize("prefix", ["", "efficientnet."])
def test_transformers_own_prefixes_are_no_wrappers(wrapper: str, prefix: str) -> None:
    """Under its prefix stands all but the classifier; without one most stands under `encoder`."""
    layers = ("embeddings.convolution", "encoder.a", "encoder.b", "encoder.top_conv")
    names = [f"{prefix}{layer}.weight" for layer in layers]
    names += ["classifier.weight"] if prefix else []
    found, notes = unwrapped({wrapper + name: torch.ones(2) for name in names}, Path("w"))
    assert list(found) == names
    assert notes == ()
