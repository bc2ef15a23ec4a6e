"""Definitions of modules as text, so that what is written for others is what was used here."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

#: Comments that speak to a type checker with other settings than the reader's.
_FOR_CHECKERS = re.compile(r"  # type: ignore\[[\w, -]+\]")
_WITH_BODY = (ast.ClassDef, ast.FunctionDef)


class _Definition(NamedTuple):
    names: tuple[str, ...]
    node: ast.stmt
    text: str  # of its module


def definitions(modules: Sequence[ModuleType], needed_by: str, *, given: Iterable[str] = ()) -> str:
    """The top-level definitions that some source needs, and those that these need.

    Constants come first; otherwise their order is kept.

    Args:
        modules: where definitions are looked for; no name may be defined in two of them.
        needed_by: source.
        given: names that are not looked for.
    """
    found = [definition for module in modules for definition in _definitions(module)]
    by_name = {name: definition for definition in found for name in definition.names}
    needed: set[str] = set()
    fresh = names_used(needed_by) - set(given)
    while fresh:
        needed |= fresh
        texts = [_lines(by_name[name]) for name in fresh & set(by_name)]
        fresh = {name for text in texts for name in names_used(text)} - needed - set(given)
    kept = [definition for definition in found if needed & set(definition.names)]
    constants = [_lines(d) for d in kept if not isinstance(d.node, _WITH_BODY)]
    others = [_lines(d) for d in kept if isinstance(d.node, _WITH_BODY)]
    return "\n\n\n".join(filter(None, ["\n".join(constants), *others])) + "\n"


def imports(modules: Sequence[ModuleType], needed_by: str) -> list[str]:
    """The import statements of modules, as far as some source needs them, sorted, each once."""
    used = {node.id for node in ast.walk(ast.parse(needed_by)) if isinstance(node, ast.Name)}
    plain: set[str] = set()
    taken: dict[str, set[str]] = {}
    for module in modules:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.Import):
                plain |= {f"import {ast.unparse(a)}" for a in node.names if _bound(a) in used}
            elif isinstance(node, ast.ImportFrom) and node.module and not _own(node.module):
                for alias in node.names:
                    if _bound(alias) in used:
                        taken.setdefault(node.module, set()).add(ast.unparse(alias))
    rows = [f"from {name} import {', '.join(sorted(parts))}" for name, parts in taken.items()]
    return sorted(plain) + sorted(rows)


def names_used(text: str) -> set[str]:
    """The names that source takes from outside; its own variables and arguments are not."""
    nodes = list(ast.walk(ast.parse(text)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - own


def _definitions(module: ModuleType) -> Iterator[_Definition]:
    text = inspect.getsource(module)
    for node in ast.parse(text).body:
        if names := _defined(node):
            yield _Definition(names, node, text)


def _defined(node: ast.stmt) -> tuple[str, ...]:
    if isinstance(node, _WITH_BODY):
        return (node.name,)
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return (node.target.id,)
    if isinstance(node, ast.Assign):
        walked = (part for target in node.targets for part in ast.walk(target))
        return tuple(part.id for part in walked if isinstance(part, ast.Name))
    return ()


def _lines(definition: _Definition) -> str:
    node = definition.node
    decorators = getattr(node, "decorator_list", [])
    start = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    lines = definition.text.splitlines()[start - 1 : node.end_lineno]
    return _FOR_CHECKERS.sub("", "\n".join(lines))


def _bound(alias: ast.alias) -> str:
    """The name that an import defines."""
    return alias.asname or alias.name.partition(".")[0]


def _own(module: str) -> bool:
    return module == "__future__" or module.partition(".")[0] == __package__.partition(".")[0]
