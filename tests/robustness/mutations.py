"""Damage done on purpose, from a seed: to bytes, to lines, to plain data and to YAML text."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

Steps = tuple[str | int, ...]  # of keys and positions, from the root of plain data

#: What stands where another value is expected.
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    7,
    0.5,
    -0.0,
    10**6 + 1,
    10**30,
    -(10**30),
    1e308,
    math.nan,
    math.inf,
    "",
    " ",
    "7",
    "no",
    "a" * 5000,
    "naïve ünïcode ✓ 漢字",
    "\u202egnp.exe",
    "\x1b[2J\x07",
    "line\nbreak",
    "../../../etc/passwd",
    "%s%n{0}{self}",
    "[red]markup[/red]",
    [],
    {},
    [[]],
    [None],
    [1, 2, 3],
    {"": {}},
    {"format": 99},
    {"kernel": 3},
)


def places(data: Any, above: Steps = ()) -> Iterator[Steps]:
    """The path of every value in plain data, the root's first."""
    yield above
    inner: list[tuple[str | int, Any]] = []
    if isinstance(data, dict):
        inner = list(data.items())
    elif isinstance(data, list):
        inner = list(enumerate(data))
    for key, value in inner:
        yield from places(value, (*above, key))


def _parent(data: Any, path: Steps) -> Any:
    for key in path[:-1]:
        data = data[key]
    return data


def damaged_data(data: Any, rng: random.Random) -> Any:
    """Plain data with one to three values replaced, removed, renamed, added or wrapped."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        paths = [path for path in places(data) if path]
        if not paths or rng.random() < 0.03:
            return copy.deepcopy(rng.choice(HOSTILE))
        path = rng.choice(paths)
        parent, key = _parent(data, path), path[-1]
        kind = rng.choice(("replace", "replace", "replace", "remove", "rename", "add", "wrap"))
        if kind == "replace":
            parent[key] = copy.deepcopy(rng.choice(HOSTILE))
        elif kind == "remove":
            del parent[key]
        elif kind == "rename" and isinstance(parent, dict):
            parent[f"{key}_"] = parent.pop(key)
        elif kind == "add" and isinstance(parent, dict):
            parent[rng.choice(("unknown", "__class__", "", "naïve"))] = rng.choice(HOSTILE)
        elif isinstance(parent, list):
            parent.insert(int(key), copy.deepcopy(rng.choice(HOSTILE)))
        else:
            parent[key] = rng.choice(([parent[key]], {"value": parent[key]}))
    return data


def damaged_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON file with other values in it, or with other bytes."""
    if rng.random() < 0.25:
        return damaged_bytes(content, rng)
    return json.dumps(damaged_data(json.loads(content), rng)).encode()


def damaged_lines(content: bytes, rng: random.Random) -> bytes:
    """A file of JSON lines: torn, doubled, in another order, or with other records."""
    lines = content.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    kind = rng.choice(("record", "record", "record", "tear", "double", "swap", "drop", "bytes",
                       "foreign", "torn last"))  # fmt: skip
    if kind == "record":
        lines[place] = json.dumps(damaged_data(json.loads(lines[place]), rng)).encode() + b"\n"
    elif kind == "tear":
        lines[place] = lines[place][: rng.randrange(len(lines[place]))]
    elif kind == "double":
        lines.insert(place, lines[rng.randrange(len(lines))])
    elif kind == "swap":
        rng.shuffle(lines)
    elif kind == "drop":
        del lines[place]
    elif kind == "foreign":
        lines.insert(place, rng.choice((b"[]\n", b"3\n", b'"text"\n', b"null\n", b"{}\n", b"\n",
                                        b"\x00\x00\n", b"\xff\xfe\n", b"[" * 50_000 + b"\n",
                                        b'{"format": 99}\n')))  # fmt: skip
    elif kind == "torn last":
        lines.append(lines[-1][: rng.randrange(1, len(lines[-1]))])
    else:
        return damaged_bytes(content, rng)
    return b"".join(lines)


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes that were cut, overwritten, inserted, doubled or replaced altogether."""

    def place() -> int:
        return rng.randrange(len(content) + 1)

    first, last = sorted((place(), place()))
    some = rng.randbytes(rng.randrange(1, 40))
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: content[:first],
        lambda: content[last:],
        lambda: content[:first] + content[last:],
        lambda: content[:first] + some + content[first:],
        lambda: content[:first] + some + content[first + len(some) :],
        lambda: content[:first] + content[first:last] * 2 + content[last:],
        lambda: rng.randbytes(200),
        lambda: b"\x00" * 300,
        lambda: content + content,
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.decode("latin-1").encode("utf-16"),
        lambda: b"[" * 100_000,
        lambda: b'{"a":' * 100_000,
        lambda: b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    )
    return rng.choice(kinds)()


def damaged_yaml(text: str, rng: random.Random) -> bytes:
    """A YAML file with other values, keys, tags, anchors, or with other bytes."""
    lines = text.splitlines()
    place = rng.randrange(len(lines))
    scalar = rng.choice(
        (".nan", ".inf", "-1", "0", "1e9", "99999999999999999999999", "0x1f", "1_000", "3.0", '"3"',
         "yes", "~", "2001-01-01", "2001-13-45", "12:30:45", "!!python/object/apply:os.system [id]",
         "!!python/name:os.system", "!!binary aGk=", "!!binary ?", "!!set {a, b}", "!!int abc",
         "!!float x", "!!timestamp x", "!unknown x", "*nowhere", "&a [*a]", "<<: {a: 1}", "{", "[",
         "'", "%YAML 9.9", "\t", "? [1]", "[[[[[[1]]]]]]", "{a: {b: {c: 1}}}", "|", ">", "@", "`",
         "[" * 3000 + "]" * 3000, "{a: " * 2000, "naïve", "\u2028", "x" * 20000, "- - - 1",
         "[1, 2, 2]", "[]", "{}", "[1000000, 1000001]")
    )  # fmt: skip
    kind = rng.choice(("value", "value", "value", "key", "double", "drop", "indent", "bytes",
                       "bomb", "document", "list", "line"))  # fmt: skip
    if kind == "value":
        places = [number for number, line in enumerate(lines) if ": " in line]
        place = rng.choice(places)
        head, _, rest = lines[place].partition(": ")
        parts = rest.split(", ")
        inner = rng.randrange(len(parts))
        key, colon, _ = parts[inner].rpartition(": ")
        parts[inner] = f"{key}{colon}{scalar}"
        whole = rng.random() < 0.5
        lines[place] = f"{head}: {scalar if whole else ', '.join(parts)}"
    elif kind == "key":
        lines.insert(place, rng.choice(("unknown: 1", "resolution: 7", "? [a, b]\n: 1", "1: 2",
                                        "null: null", "'': 3", "<<: *base", "format: 99",
                                        "__class__: x", "name: [a]")))  # fmt: skip
    elif kind == "double":
        lines.insert(place, lines[place])
    elif kind == "drop":
        del lines[place]
    elif kind == "indent":
        lines[place] = " " * rng.randrange(1, 5) + lines[place]
    elif kind == "bomb":
        bomb = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
        bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
        lines = [*bomb, *lines]
    elif kind == "document":
        lines.insert(place, rng.choice(("---", "...", "--- !!map", "%TAG ! tag:x,2000:")))
    elif kind == "list":
        lines = [f"- {line}" for line in lines]
    elif kind == "line":
        lines.insert(place, scalar)
    else:
        return damaged_bytes(text.encode(), rng)
    return "\n".join(lines).encode("utf-8", "surrogatepass")
