"""Weights that torch.hub has fetched, as torchvision does.

Source of the folder: torch.hub.get_dir in torch's documentation.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def checkpoint_folder() -> Path:
    """Where torch.hub keeps weights; it need not be there."""
    if home := os.environ.get("TORCH_HOME", "").strip():
        return Path(home).expanduser() / "hub" / "checkpoints"
    users = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(users).expanduser() / "torch" / "hub" / "checkpoints"


def checkpoints(folder: Path) -> Iterator[Path]:
    """Its files, by name."""
    for path in sorted(folder.glob("*")):
        if path.suffix in (".pth", ".pt", ".safetensors") and path.is_file():
            yield path
