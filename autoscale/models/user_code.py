"""Code of the user's, by name: imported only because a command names it."""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autoscale.errors import InvalidSetting, WorkersUnavailable, cause


def named(name: str) -> Any:
    """What `package.module:name` names; the module is imported, from the working directory too.

    Raises:
        InvalidSetting: if there is no such thing, or its module cannot be imported.
    """
    form = re.fullmatch(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)", name)
    if form is None and ".py:" in name:
        file, _, inside = name.partition(":")
        raise InvalidSetting(code_problem(file, inside))
    if form is None:
        raise InvalidSetting(f"not a module and a name in it: {name!r}; write package.module:build")
    module, path = form.groups()
    with _working_directory_importable():
        try:
            found: Any = importlib.import_module(module)
        except (Exception, SystemExit) as problem:
            raise InvalidSetting(
                f"cannot import {module}: {cause(problem)}; correct the module or its name"
            ) from problem
        try:
            for step in path.split("."):
                found = getattr(found, step)
        except WorkersUnavailable:  # of a module that only the coordinator has
            raise
        except Exception as problem:
            raise InvalidSetting(f"{module} has no {path!r}; name something in it") from problem
    return found


def code_problem(file: str, name: str = "NAME") -> str:
    """Why a file of Python code is no name of a network, and which name is."""
    path = Path(os.path.relpath(file)).with_suffix("")
    if ".." in path.parts:
        return f"{file} is Python code; name what is in it from its folder, as {path.name}:{name}"
    return f"{file} is Python code; name what is in it, as {'.'.join(path.parts)}:{name}"


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's module may have removed it
            sys.path.remove(here)
