"""What a step was asked to do, and with which software."""

import os
import platform
from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autoscale.distribution import VERSION
from autoscale.training.recipe import Recipe


def environment() -> dict[str, str | int]:
    """Versions and machine, for the record."""
    packages = ("torch", "optuna", "numpy", "pillow")
    return {
        "python": platform.python_version(),
        "autoscale": VERSION,
        **{name: _version(name) for name in packages},
        "machine": platform.machine(),
        "cores": os.cpu_count() or 1,
    }


#: Of `settings.json`. In those of format 1 the images and the recipe stand together under `task`.
RECORD_FORMAT = 2


def in_this_format(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded settings of whatever format as this version writes them."""
    found = _of_format_2(settings)
    recipe = found.get("recipe")
    if isinstance(recipe, Mapping):  # older ones lack what did not exist, and did without it
        defaults = {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}
        found["recipe"] = {**defaults, **recipe}
    return found


def _of_format_2(settings: Mapping[str, Any]) -> dict[str, Any]:
    if "task" not in settings:
        return dict(settings)
    rest = {name: value for name, value in settings.items() if name != "task"}
    found = {"white_level": 65535, **settings["task"], **rest}
    if isinstance(solve := found.get("solve"), str):  # a grid had one text for two settings
        found |= {"solve": bool(solve), "move": solve or None}
    return found


def difference(earlier: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> str:
    """The settings that differ, as `name: there -> asked`; empty if none do."""
    parts = []
    for name in sorted({*earlier, *asked}):
        there, here = earlier.get(name), asked.get(name)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            inner = difference(there, here, f"{prefix}{name}.")
            parts += [inner] if inner else []
        elif there != here:
            parts.append(f"{prefix}{name} is {_short(there)} there, asked for {_short(here)}")
    return ", ".join(parts)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
