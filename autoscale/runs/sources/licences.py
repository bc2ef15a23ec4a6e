"""Under which terms weights are given, as the files beside them say."""

import json
import re
from pathlib import Path
from typing import Any

#: Of a card of the Hugging Face hub, which begins with YAML between two rows of strokes.
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
_ENTRY = re.compile(r"^license(_name)?:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_MOST = 100_000  # bytes of a card that are read
_LONGEST = 200  # characters of a licence's name


def licence_beside(path: Path) -> str | None:
    """What a card or config.json in the folder of a file of weights says; None if neither does."""
    return _of_card(path.parent / "README.md") or _of_config(path.parent / "config.json")


def _of_card(file: Path) -> str | None:
    try:
        with file.open(encoding="utf-8") as handle:
            front = _FRONT.match(handle.read(_MOST))
    except (OSError, UnicodeError):
        return None
    said = {name: _tidy(value) for name, value in _ENTRY.findall(front[1] if front else "")}
    plain, called = said.get(""), said.get("_name")
    return called if called and plain in (None, "other") else plain


def _of_config(file: Path) -> str | None:
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    inner: Any = plain.get("pretrained_cfg") if isinstance(plain, dict) else None
    for said in (inner, plain):
        licence = said.get("license") if isinstance(said, dict) else None
        if isinstance(licence, str) and licence.strip():
            return _tidy(licence)
    return None


def _tidy(text: str) -> str | None:
    return " ".join(text.strip().strip("'\"").split())[:_LONGEST] or None
