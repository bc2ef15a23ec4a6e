"""Published weights on this machine, listed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoscale.cli.app import main
from autoscale.design.published import published
from autoscale.inspection.weights import weights_here
from autoscale.network.build import build
from autoscale.network.naming import resnet_names
from autoscale.network.weights import to_timm
from tests.sources import COMMIT, hub_model, package


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def test_packages_and_both_caches_are_listed_with_their_networks(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package(machine / "site", "efficientnet-lite0", {"other.weight": torch.zeros(2)})
    monkeypatch.syspath_prepend(str(machine / "site"))
    tiny = replace(published("mobilenet-v2-0.35"), num_classes=2)
    state = {n: v.half() for n, v in to_timm(build(tiny).state_dict()).items()}
    hub_model(machine / "hub", "timm/mobilenetv2_035.a", state)
    hub_model(machine / "hub", "timm/empty", None)
    checkpoints = machine / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    own = build(replace(published("resnet-18"), num_classes=2)).state_dict()
    theirs = {resnet_names(own)[name]: value.half() for name, value in own.items()}
    torch.save(theirs, checkpoints / "resnet18-f37072fd.pth")
    (checkpoints / "cut-short.pth").write_bytes(
        (checkpoints / "resnet18-f37072fd.pth").read_bytes()[:5000]
    )
    found = {one.source: one for one in weights_here().held}
    source = f"hf:timm/mobilenetv2_035.a@{COMMIT}"
    resnet, broken = (
        str(checkpoints / name) for name in ("resnet18-f37072fd.pth", "cut-short.pth")
    )
    assert {"efficientnet-lite0", source, resnet, broken} == found.keys() - {
        "efficientnet-lite1", "efficientnet-lite2"
    }  # fmt: skip
    assert (found[source].network, found[source].names) == ("mobilenet-v2-0.35", "timm's")
    assert found[source].licence == "apache-2.0"
    assert (found[resnet].network, found[resnet].licence) == ("resnet-18", None)
    assert found[resnet].bytes == Path(resnet).stat().st_size
    assert found["efficientnet-lite0"].network is None  # by its numbers it is another
    assert "damaged" in (found[broken].problem or "")

    assert main(["weights", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["source"]: one for one in told["weights"]} == {
        source: one.to_dict() for source, one in found.items()
    }
    assert main(["weights"]) == 0
    text = capsys.readouterr().out
    assert "mobilenet-v2-0.35" in text
    assert "cut-short.pth is damaged" in " ".join(text.split())


def test_an_empty_machine_is_told_what_could_be_had(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = weights_here()
    assert not [one for one in found.held if not one.place.startswith("package")]
    missing = {one.source for one in found.missing}
    assert missing | {one.source for one in found.held} == {
        "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "hf:timm/NAME"
    }  # fmt: skip
    assert main(["weights"]) == 0
    assert "hf:timm/NAME" in capsys.readouterr().out
