"""What a processor multiplies bfloat16 by, as runs record it."""

from __future__ import annotations

import pytest
import torch

from autoscale.network.kernels.precision import instructions, multiplies_bfloat16


@pytest.mark.parametrize(
    ("there", "ending"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, " with AMX"),
        ({"amx_bf16": False, "avx512_bf16": True}, " with AVX512-BF16"),
        ({"avx512_bf16": False}, ""),
    ],
)
def test_the_quickest_instructions_are_named(
    there: dict[str, bool], ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: there, raising=False)
    assert instructions() == torch.backends.cpu.get_cpu_capability() + ending
    assert multiplies_bfloat16() == bool(ending)


@pytest.mark.parametrize("tiles", [True, False])
def test_an_older_torch_is_asked_otherwise(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert instructions().endswith(" with AMX" if tiles else " with AVX512-BF16")
