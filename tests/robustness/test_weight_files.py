"""Files of weights that were damaged, or that would run code: refused, and nothing is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.robustness.attempts import attempt, is_clear, seeds
from tests.robustness.conftest import Finished
from tests.robustness.mutations import damaged_bytes, damaged_data


class Evil:
    """What a pickle would run when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def other_header(content: bytes, rng: random.Random) -> bytes:
    """Safetensors whose header, or what autoscale says in it, holds other values."""
    size = struct.unpack("<Q", content[:8])[0]
    head = json.loads(content[8 : 8 + size])
    if rng.random() < 0.6:
        ours = head["__metadata__"]
        ours["autoscale"] = json.dumps(damaged_data(json.loads(ours["autoscale"]), rng))
    else:
        head = damaged_data(head, rng)
    text = json.dumps(head).encode()
    length = len(text) if rng.random() < 0.9 else rng.randrange(2**63)
    return struct.pack("<Q", length) + text + content[8 + size :]


@pytest.mark.parametrize("seed", seeds(24, 60))
def test_damaged_weights_are_refused_or_used_and_run_no_code(
    whole: Finished, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(f"weights {seed}")
    mark = tmp_path / "code-was-run"
    good = (whole.run / "train" / "best.safetensors").read_bytes()
    saved = io.BytesIO()
    torch.save({"a": Evil(mark)}, saved)
    evil = [pickle.dumps(Evil(mark)), saved.getvalue()]
    content = rng.choice(
        (other_header(good, rng), other_header(good, rng), damaged_bytes(good, rng), evil[0],
         evil[1], damaged_bytes(evil[1], rng), pickle.dumps([1]))
    )  # fmt: skip
    file = tmp_path / f"w{rng.choice(('.safetensors', '.safetensors', '.pth', '.bin', ''))}"
    file.write_bytes(content)
    design = whole.run / "family" / "phi-0.yaml"
    named = [file] if rng.random() < 0.5 else [design]
    arguments = ["export", *named, tmp_path / "out", "--to", rng.choice(("safetensors", "python"))]
    answer = attempt(*arguments, *([] if named == [file] else ["--weights", file]))
    assert is_clear(answer)
    assert not mark.exists()
    if content in evil:
        assert answer.status != 0
