"""What this processor computes with, as far as it changes digits and speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def instructions() -> str:
    """What torch's operations and compiled kernels use: AVX512 with AMX."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{capability} with AMX" if multiplies_bfloat16() else capability


def multiplies_bfloat16() -> bool:
    """Whether it has matrix instructions for bfloat16 (AMX), which torch's products use."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # not there before torch 2.13
    if ask is None:
        return bool(torch.cpu._is_amx_tile_supported())
    capabilities: Mapping[str, Any] = ask()
    return bool(capabilities.get("amx_bf16"))
