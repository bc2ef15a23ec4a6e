"""What a step was asked to do, and with which software."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autoscale.distribution import VERSION
from autoscale.errors import InvalidSetting
from autoscale.settings.setting import Setting
from autoscale.training.recipe import Recipe

#: Innermost values of a fact that are said, and characters of one.
_LEAVES, _LONGEST = 4, 40


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


def difference(
    earlier: Mapping[str, Any], asked: Mapping[str, Any], known: Iterable[Setting] = ()
) -> str:
    """What differs between two records of a step and may not: `--seed 0 there, asked for --seed 1`.

    Settings are said as they are typed. Only where none accounts for a difference it is said what
    they came to: `recipe.epochs is 4 there, asked for 5`.

    Args:
        earlier, asked: each with `settings`, which must be the same, and with `notes` if it has
            such: of a setting whose fact binds in its place, what was typed is there.
        known: the settings of the command.

    Returns:
        A part of a sentence; empty if nothing differs.
    """
    known, there, here = tuple(known), earlier["settings"], asked["settings"]
    facts = sorted(n for n in {*there, *here} if there.get(n) != here.get(n))
    typed = [
        _both(one, before.get(one.name), now.get(one.name))
        for one in known
        if _fact_of(one) in facts
        for before, now in [(_typed(one, earlier), _typed(one, asked))]
        if one.name in before and one.name in now and before[one.name] != now[one.name]
    ]
    if not typed:
        # Where a file was exchanged, what follows from it need not be told too.
        own = [name for name in facts if any(_fact_of(one) == name for one in known)] or facts
        typed = [_of_fact(name, there.get(name), here.get(name), known, asked) for name in own]
    return ", ".join(typed)


def _fact_of(setting: Setting) -> str:
    """Under which name of the record a setting binds; "" if it does not."""
    binds = setting.option.binds
    return binds if isinstance(binds, str) else setting.name if binds else ""


def _typed(setting: Setting, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a record has what was typed for a setting, if it has it."""
    return record.get("settings" if setting.option.binds is True else "notes", {})


def _both(setting: Setting, there: Any, here: Any) -> str:
    return f"{_said(setting, there)} there, asked for {_said(setting, here)}"


def _by_default(setting: Setting, plain: Any) -> bool:
    try:
        return bool(setting.value(plain) == setting.default)
    except InvalidSetting:
        return False


def _said(setting: Setting, plain: Any) -> str:
    try:
        return setting.said(setting.value(plain))
    except InvalidSetting:  # another version's
        return f"{setting.flag} {_text(plain)}"


def _of_fact(
    name: str, there: Any, here: Any, known: Iterable[Setting], asked: Mapping[str, Any]
) -> str:
    """In what the two values of a fact differ, and what is typed for it."""
    before, now = dict(_leaves(name, there)), dict(_leaves(name, here))
    differing = [leaf for leaf in before | now if before.get(leaf) != now.get(leaf)]
    own = [one for one in known if _fact_of(one) == name]
    values = {one.name: _typed(one, asked).get(one.name, one.default) for one in own}
    # What follows from the rest, such as the target that is the median, says nothing of its own.
    following = {f"{name}.{one}" for one, value in values.items() if value is None}
    differing = [leaf for leaf in differing if leaf not in following] or differing
    parts = [_leaf(leaf, before.get(leaf), now.get(leaf)) for leaf in differing[:_LEAVES]]
    more = [f"{len(differing) - _LEAVES} more"] if len(differing) > _LEAVES else []
    typed = [_said(one, values[one.name]) for one in own if not _by_default(one, values[one.name])]
    said = ", ".join(parts + more)
    return f"{' '.join(typed)} came to something else there: {said}" if typed else said


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The innermost values of plain data, with their names from outside in."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    elif isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(f"{name}.{number}", inner)
    else:
        yield name, value


def _leaf(name: str, there: Any, here: Any) -> str:
    texts = _text(there), _text(here)
    if max(map(len, texts)) > _LONGEST:
        return f"another {name}"
    return f"{name} is {texts[0]} there, asked for {texts[1]}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else " ".join(str(value).split())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
