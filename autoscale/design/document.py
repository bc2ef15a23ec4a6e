"""YAML text to values and back, with the line and key of every mistake.

Stricter than plain YAML: a key given twice is refused, and `3.0`, `"3"` or `yes` is no whole
number. A file may say its version under `format` and what it describes under `kind`; what we write
does.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import TypeAdapter, ValidationError
from yaml.constructor import SafeConstructor

from autoscale.design.versions import FORMAT, UPGRADE, version_problem
from autoscale.errors import AutoscaleError

T = TypeVar("T")

#: For the `__pydantic_config__` of a dataclass that is read from YAML.
NO_UNKNOWN_KEYS = {"extra": "forbid"}

#: What a file may describe.
Kind = Literal["design", "member", "user-model-member", "space", "board"]
#: Top-level keys that tell the kind of files from before they stated it.
_TELLING: Mapping[str, Kind] = {
    "model": "user-model-member",
    "architecture": "member",
    "stages": "design",
}

#: Values that a file may hold, aliases expanded.
MOST_NODES = 100_000


def parse(
    text: str, into: type[T], *, source: str, error: type[AutoscaleError], kind: Kind | None = None
) -> T:
    """Read `text` as a value of the dataclass `into`.

    Args:
        source: what to call the text in errors, usually a file name.
        error: what to raise.
        kind: what the text must describe, if it says so; without it `kind` is a key as any other.

    Raises:
        error: `source:line:column: key: what is wrong`, for the first mistake.
    """
    root = _root(text, source, error)
    try:
        # What `yaml.safe_load` makes of the nodes; it takes merged keys into them, so where a
        # mistake stands is looked for in fresh ones.
        data = SafeConstructor().construct_document(root)
        # JSON rules: lists become tuples, and nothing else changes its type.
        version = data.pop("format", FORMAT)
        stated = data.pop("kind", kind) if kind is not None else None
        content = json.dumps(data, default=str)
    except Exception as problem:
        raise error(f"{source}: not readable as YAML: {' '.join(str(problem).split())}") from None
    if reason := version_problem(version):
        raise error(f"{source}: {reason}; {UPGRADE}")
    if stated != kind:
        node, _ = _locate(_root(text, source, error), ("kind",))
        raise error(f"{_place(node, source)}: kind: expected {kind}, got {stated!r:.40}")
    try:
        return _adapter(into).validate_json(content, strict=True)
    except ValidationError as problem:
        root = _root(text, source, error)
        raise error(_first_mistake(problem, root, into, source)) from None


def kind_of(text: str) -> Kind | None:
    """What a YAML text says that it describes, or what its keys tell; None if they tell nothing.

    Only for choosing how to read it, which then says what is wrong, and where.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except Exception:
        return None
    if not isinstance(root, yaml.MappingNode):
        return None
    keys = {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}
    if "kind" in keys:
        return next((kind for kind in get_args(Kind) if kind == keys["kind"].value), None)
    return next((kind for key, kind in _TELLING.items() if key in keys), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A value of a mapping in a file."""

    place: str  # source:line:column, of the key
    data: Any  # as YAML has it
    text: str | None  # as it is written, of what is no list and no mapping


def entries(text: str, *, source: str, error: type[AutoscaleError]) -> dict[str, Entry]:
    """The keys of a YAML text with their values and places; `format` is looked at and left out.

    Raises:
        error: `source:line:column: what is wrong`.
    """
    root = _root(text, source, error)
    try:
        held = yaml.safe_load(text)
        data = {str(name): value for name, value in held.items()}
    except Exception as problem:
        raise error(f"{source}: not readable as YAML: {' '.join(str(problem).split())}") from None
    found = {
        str(key.value): Entry(
            place=_place(key, source),
            data=data.get(str(key.value)),
            text=value.value if isinstance(value, yaml.ScalarNode) else None,
        )
        for key, value in root.value
    }
    version = found.pop("format", None)
    if version is not None and (reason := version_problem(version.data)):
        raise error(f"{version.place}: {reason}; {UPGRADE}")
    return found


def _root(text: str, source: str, error: type[AutoscaleError]) -> yaml.MappingNode:
    """The keys and values of a text, in which no key is given twice."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as problem:
        raise error(_syntax(problem, source)) from None
    except Exception as problem:  # PyYAML lets whatever a strange scalar makes Python raise escape
        raise error(f"{source}: not readable as YAML: {problem}") from None
    if not isinstance(root, yaml.MappingNode):
        raise error(f"{source}: expected keys and values, got {_describe(root)}")
    _refuse_duplicates_and_bombs(root, source, error)
    return root


def dump(data: Mapping[str, Any], *, in_lines: bool = False) -> str:
    """Plain data as YAML text in the given order; its first line is the version.

    Each innermost mapping or list is a line, or each value is, if `in_lines`.
    """
    lists_for_tuples = json.loads(json.dumps({"format": FORMAT, **data}))
    return yaml.safe_dump(
        lists_for_tuples,
        sort_keys=False,
        default_flow_style=False if in_lines else None,
        width=120,
        allow_unicode=True,
    )


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(into: type[Any]) -> TypeAdapter[Any]:
    """Making one takes milliseconds, so each is made once."""
    if into not in _ADAPTERS:
        _ADAPTERS[into] = TypeAdapter(into)
    return _ADAPTERS[into]


def _syntax(problem: yaml.YAMLError, source: str) -> str:
    if isinstance(problem, yaml.MarkedYAMLError) and problem.problem_mark is not None:
        mark = problem.problem_mark
        return f"{source}:{mark.line + 1}:{mark.column + 1}: not valid YAML: {problem.problem}"
    return f"{source}: not valid YAML: {' '.join(str(problem).split())}"


def _refuse_duplicates_and_bombs(root: yaml.Node, source: str, error: type[AutoscaleError]) -> None:
    """Refuse keys given twice, aliases that contain themselves, and aliases that explode."""
    visited = 0

    def walk(node: yaml.Node, above: frozenset[int]) -> None:
        nonlocal visited
        visited += 1
        if visited > MOST_NODES:
            raise error(f"{source}: over {MOST_NODES:,} values after expanding aliases; use fewer")
        if id(node) in above:
            raise error(f"{_place(node, source)}: this alias contains itself")
        above |= {id(node)}
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if str(key.value) in seen:
                    raise error(f"{_place(key, source)}: {key.value}: given twice; keep one")
                seen.add(str(key.value))
                walk(value, above)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                walk(value, above)

    walk(root, frozenset())


def _first_mistake(problem: ValidationError, root: yaml.Node, into: type[Any], source: str) -> str:
    errors = problem.errors(include_url=False, include_context=False)
    # An unknown key says more than the missing one that it was meant to be.
    first = min(errors, key=lambda e: e["type"] not in ("unexpected_keyword_argument",))
    node, path = _locate(root, first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unexpected_keyword_argument":
        wrong = str(first["loc"][-1])
        siblings = [str(e["loc"][-1]) for e in errors if e["type"] == "missing"]
        close = difflib.get_close_matches(wrong, [*siblings, *_known_keys(into)], n=1)
        here = _adapter(into).json_schema().get("properties", {}) if len(first["loc"]) == 1 else {}
        known = f"; there are {', '.join(here)}" if here else ""
        message = "unknown key" + (f"; did you mean {close[0]}?" if close else known)
    elif first["type"] in ("missing", "missing_argument"):
        message = "missing"
    elif first["type"] != "value_error" and isinstance(first["input"], str | int | float):
        message += f", got {first['input']!r}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"{path}: " if path else ""
    return f"{_place(node, source)}: {where}{message[:1].lower()}{message[1:]}{more}"


def _known_keys(into: type[Any]) -> list[str]:
    keys: list[str] = []

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            keys.extend(schema.get("properties", {}))
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(_adapter(into).json_schema())
    return keys


def _locate(node: yaml.Node, path: Sequence[int | str]) -> tuple[yaml.Node, str]:
    """The node that `path` leads to, as far as it exists, and the readable form of the path."""
    names: list[str] = []
    for number, step in enumerate(path, start=1):
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if str(key.value) == str(step)]
            names.append(str(step))
            if not found:
                break
            key, value = found[0]
            last = number == len(path)
            node = value if isinstance(value, yaml.CollectionNode) and not last else key
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            names.append(str(step + 1))
            node = node.value[step]
        else:  # the name of a validator or of a union's branch
            continue
    return node, ".".join(names)


def _place(node: yaml.Node, source: str) -> str:
    return f"{source}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _describe(root: yaml.Node | None) -> str:
    if root is None:
        return "nothing"
    return "a list" if isinstance(root, yaml.SequenceNode) else f"{root.value!r:.40}"
