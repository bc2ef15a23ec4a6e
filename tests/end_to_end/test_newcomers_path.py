"""The commands of a page one after the other: from a folder of photographs to an ONNX file."""

from __future__ import annotations

import re
import shlex
from glob import glob
from pathlib import Path

import numpy as np
import pytest
import torch

from autoscale.cli.app import main
from autoscale.models.load import load_model
from autoscale.network.build import build
from tests.conftest import draw_photos

PAGE = Path(__file__).parents[2] / "docs" / "photographs.md"

#: What makes each command small; options given twice count as they stand last.
SMALLER = {
    "search-baseline": "--space tiny --resolution 16 --trials 3 --epochs 1 --target 200K "
    "--confirm 1",
    "check-baseline": "--networks 2 --seeds 2",
    "grid": "--tolerance 0.2 --max-candidates 2 --seeds 1",
    "family": "",
    "train": "--epochs 1 --kernels none",
    "report": "",
    "evaluate": "",
    "predict": "",
    "export": "--to onnx",
    "latency": "--repeats 5",
}


def typed() -> list[str]:
    """The command lines of the section of commands, comments left out."""
    text = PAGE.read_text(encoding="utf-8")
    section = text[text.index("## The commands") :]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block
    lines = block[1].replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0].partition(" # ")[0] for line in lines]


def test_the_page_goes_all_the_way() -> None:
    commands = [shlex.split(line)[1] for line in typed()]
    assert set(commands) == set(SMALLER)
    assert commands[0] == "search-baseline"
    assert commands.index("export") > commands.index("train")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_folder_of_photographs_becomes_an_onnx_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    monkeypatch.chdir(tmp_path)
    photos = draw_photos(tmp_path / "photos")
    (tmp_path / "new").mkdir()
    for number, path in enumerate(sorted(photos.glob("*/*.png"))[::10]):
        # The content decides what a file is, not its name.
        (tmp_path / "new" / f"{number}.jpg").write_bytes(path.read_bytes())
    for line in typed():
        program, command, *rest = shlex.split(line)
        assert program == "autoscale"
        found = [name for part in rest for name in (sorted(glob(part)) or [part])]
        assert main([command, *found, *shlex.split(SMALLER[command])]) == 0, capsys.readouterr().err
    assert (tmp_path / "runs" / "photos" / "report.html").exists()
    model = load_model("runs/phi-2/train/best.safetensors")
    assert model.architecture is not None
    network = build(model.architecture).eval()
    network.load_state_dict(model.network.state_dict())
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    images = np.random.default_rng(0).normal(size=(5, 3, model.resolution, model.resolution))
    for batch in (1, 5):
        given = images[:batch].astype(np.float32)
        (logits,) = session.run(None, {session.get_inputs()[0].name: given})
        with torch.inference_mode():
            expected = network(torch.from_numpy(given)).numpy()
        assert np.abs(logits - expected).max() <= 1e-4
