"""What this processor computes with, as far as it changes digits and speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

#: Instructions that multiply bfloat16, the quicker first, as torch and as people call them.
MULTIPLIERS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}


def instructions() -> str:
    """What torch's operations and compiled kernels use, such as AVX512 with AMX."""
    capability = torch.backends.cpu.get_cpu_capability()
    found = _multiplier()
    return f"{capability} with {found}" if found else capability


def multiplies_bfloat16() -> bool:
    """Whether it has instructions for products of bfloat16, which torch's products use too."""
    return _multiplier() is not None


def _multiplier() -> str | None:
    """The quickest of `MULTIPLIERS` that is there."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not there before torch 2.13
    if ask is None:
        there: Mapping[str, Any] = {
            "amx_bf16": torch.cpu._is_amx_tile_supported(),
            "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        }
    else:
        there = ask()
    return next((told for name, told in MULTIPLIERS.items() if there.get(name)), None)
