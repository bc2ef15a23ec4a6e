"""What one network costs: a published one, a design in a file, or a module of the user's."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from autoscale.design.architecture import Architecture
from autoscale.design.cost import CONVENTIONS, Cost, part_costs
from autoscale.design.published import published
from autoscale.errors import InvalidSetting
from autoscale.network.measure import Handle, traced_part_costs
from autoscale.runs.store import read_text

#: Bytes of a number in float32.
BYTES = 4


@dataclass(frozen=True, slots=True)
class Count:
    """The costs of a network's parts for one image."""

    network: str
    resolution: int  # pixels per side
    traced: bool  # watched while running, rather than computed from a design
    parts: tuple[tuple[str, Cost], ...]

    @property
    def cost(self) -> Cost:
        """Of the whole network."""
        return reduce(add, (part for _, part in self.parts), Cost())

    def row(self, convention: str = "paper") -> dict[str, Any]:
        """The whole network in one row; `figures` names its columns."""
        return {"network": self.network, **figures(self.cost, convention)}

    def table(self, convention: str = "paper") -> pd.DataFrame:
        """One row for each part and a last one for the total.

        Columns: part, and those of `figures`.
        """
        rows = [*self.parts, ("total", self.cost)]
        return pd.DataFrame([{"part": name} | figures(part, convention) for name, part in rows])


def figures(cost: Cost, convention: str = "paper") -> dict[str, int]:
    """`flops` under the convention, macs, params, activations, and memory in bytes.

    Memory is that of the most numbers alive at once in float32, as `Cost.peak` defines it.

    Raises:
        InvalidSetting: if there is no such convention.
    """
    if convention not in CONVENTIONS:
        raise InvalidSetting(
            f"no counting convention {convention!r}; choose from {', '.join(CONVENTIONS)}"
        )
    return {
        "flops": int(CONVENTIONS[convention](cost)),
        "macs": int(cost.macs),
        "params": int(cost.params),
        "activations": int(cost.activations),
        "memory": int(cost.peak) * BYTES,
    }


def count(
    network: str, *, resolution: int | None = None, handles: Mapping[str, Handle] | None = None
) -> Count:
    """What `network` costs for one image.

    Args:
        network: the name of a published one (`efficientnet-b4`), a YAML file of a design, or
            `package.module:name` of an `nn.Module` or of a function without arguments that makes
            one or an `Architecture`. The module is imported, from the working directory too.
        resolution: pixels per side; a design's own, or 224 for a module, if not given.
        handles: multiply-adds of operations that the trace of a module does not know.

    Raises:
        InvalidSetting: if there is no such network, or it does not take such images.
        InvalidArchitecture: if the file is no design; the message names line and key.
        StorageProblem: if the file cannot be read.
    """
    if ":" in network and not Path(network).exists():
        found = _imported(network)
    else:
        found = load_architecture(network)
    if isinstance(found, Architecture):
        if resolution is not None:
            found = replace(found, resolution=resolution)
        return Count(network, found.resolution, False, tuple(part_costs(found)))
    return count_module(found, network, resolution=resolution or 224, handles=handles)


def count_module(
    module: nn.Module, name: str, *, resolution: int, handles: Mapping[str, Handle] | None = None
) -> Count:
    """What `module` costs, watched while one image passes.

    Raises:
        InvalidSetting: if it does not take such images, or runs operations of unknown cost.
    """
    try:
        parts = traced_part_costs(module, resolution=resolution, handles=handles)
    except InvalidSetting:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise InvalidSetting(
            f"{name} does not take an image of shape (1, 3, {resolution}, {resolution}): {reason}; "
            "try another --resolution"
        ) from problem
    return Count(name, resolution, True, tuple(parts))


def load_architecture(name: str) -> Architecture:
    """The design in the YAML file `name`, or the published one of that name.

    Raises:
        InvalidSetting: if there is neither.
        InvalidArchitecture: if the file is no design; the message names line and key.
        StorageProblem: if the file cannot be read.
    """
    if name.endswith((".yaml", ".yml")) or Path(name).is_file():
        return Architecture.from_yaml(read_text(Path(name)), source=name)
    return published(name)


def parse_handles(texts: Sequence[str]) -> dict[str, Handle]:
    """Read `aten::cumsum=0` and `aten::cumsum=package.module:function` as costs of operations.

    Raises:
        InvalidSetting: for anything else, or if there is no such function.
    """
    handles: dict[str, Handle] = {}
    for text in texts:
        operation, _, value = text.partition("=")
        if value.isdecimal():
            handles[operation] = _constant(int(value))
        elif value and (found := _named(value)) and callable(found):
            handles[operation] = found
        else:
            raise InvalidSetting(
                f"not the cost of an operation: {text!r}; write aten::name=0 or "
                "aten::name=package.module:function"
            )
    return handles


def _constant(macs: int) -> Handle:
    return lambda inputs, outputs: macs


def _imported(name: str) -> nn.Module | Architecture:
    found = _named(name)
    if callable(found) and not isinstance(found, nn.Module):
        try:
            found = found()
        except TypeError as problem:
            raise InvalidSetting(f"cannot call {name} without arguments: {problem}") from problem
    if not isinstance(found, nn.Module | Architecture):
        raise InvalidSetting(f"{name} gives a {type(found).__name__}; it must give an nn.Module")
    return found


def _named(name: str) -> Any:
    """What `package.module:name` names."""
    form = re.fullmatch(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)", name)
    if form is None:
        raise InvalidSetting(f"not a module and a name in it: {name!r}; write package.module:build")
    module, path = form.groups()
    try:
        with _working_directory_importable():
            found: Any = importlib.import_module(module)
    except ImportError as problem:
        raise InvalidSetting(f"cannot import {module}: {problem}") from problem
    for step in path.split("."):
        if not hasattr(found, step):
            raise InvalidSetting(f"{module} has no {path!r}; name something in it")
        found = getattr(found, step)
    return found


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
