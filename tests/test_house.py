"""The rules of the house, read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

import pytest

import autoscale
from autoscale.design.space import SearchSpace
from autoscale.distribution import NAME, install

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "autoscale"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Which rooms a room may import, besides itself, `errors` and `aspect`. Those that talk to people
# (`cli`, `report`) may also read and print the values of `design`.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "aspect": set(),
    "distribution": set(),
    "listener": set(),
    "settings": set(),
    "design": set(),
    "datasets": set(),
    "engines": set(),
    "metrics": set(),
    "answering": {"metrics"},
    "advice": set(),
    "racing": set(),
    "scaling": {"design"},
    "devices": {"design", "runs", "network", "quantization", "settings"},
    "network": {"design", "settings"},
    "quantization": {"design", "network"},
    "search": {"design", "metrics"},
    "training": {"datasets", "metrics"},
    "runs": {"design", "scaling", "search", "datasets", "training", "answering", "settings"},
    "tracking": {"runs"},
    "models": {"design", "devices", "scaling", "network", "quantization", "datasets", "training",
               "metrics", "answering", "racing", "runs", "listener", "settings"},
    "jobs": {"design", "scaling", "network", "datasets", "training", "metrics", "search", "racing",
             "answering", "advice", "engines", "runs", "tracking", "models", "listener", "settings",
             "devices"},
    "inspection": {"design", "scaling", "network", "datasets", "training", "metrics", "search",
                   "runs", "models", "jobs", "settings"},
    "report": {"design", "metrics", "search", "runs", "jobs", "inspection", "settings"},
    "pipeline": {"design", "devices", "scaling", "datasets", "search", "runs", "models", "jobs",
                 "inspection", "report", "listener", "settings"},
    "cli": {"design", "devices", "metrics", "answering", "runs", "models", "jobs", "inspection",
            "report", "pipeline", "listener", "settings"},
    "__main__": {"cli"},
    "__init__": {"design", "devices", "scaling", "network", "search", "runs", "models", "jobs",
                 "inspection", "report", "pipeline"},
}  # fmt: skip


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Every imported module of a file, wherever the import stands, with relative names resolved."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            if module == "autoscale":
                yield from (f"autoscale.{alias.name}" for alias in node.names)
            else:
                yield module


def by_room(names: set[str]) -> list[str]:
    """`file: module` for every import of one of the top-level modules `names`."""
    return [
        f"{path.relative_to(ROOT)}: {module}"
        for path in SOURCES
        for module in imports_of(path)
        if module.partition(".")[0] in names
    ]


def test_a_folder_holds_few_enough_files_to_find_one() -> None:
    folders = {path.parent for path in SOURCES}
    full = {str(folder.relative_to(ROOT)): len([*folder.glob("*.py")]) for folder in folders}
    assert {name: count for name, count in full.items() if count > 15} == {}


# Imports


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    own = room_of(path)
    assert own in ARROWS, "a new room: say above what it may import"
    allowed = ARROWS[own] | {own, "errors", "aspect", "distribution"}
    targets = {
        parts[1]
        for parts in (module.split(".") for module in imports_of(path))
        if parts[0] == "autoscale" and len(parts) > 1 and not parts[1].startswith("__")
    }
    assert targets <= allowed


def test_the_design_room_loads_neither_torch_nor_optuna() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in SOURCES
        if room_of(path) == "design" and path.stem != "__init__"
    ]
    code = f"import sys, {', '.join(modules)}; print({{'torch', 'optuna'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def loaded_with(path: Path) -> set[str]:
    """Modules that are loaded when a file is: what files import outside functions, and theirs."""
    found: set[str] = set()
    left = [path]
    while left:
        body = ast.parse(left.pop().read_text(encoding="utf-8")).body
        for node in body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in set(names) - found:
                found.add(name)
                file = ROOT.joinpath(*name.split("."))
                sources = (file.with_suffix(".py"), file / "__init__.py")
                left += [source for source in sources if source.is_file()]
    return found


def test_a_worker_process_loads_no_library_of_tables() -> None:
    loaded = loaded_with(PACKAGE / "jobs" / "workers" / "pool.py")
    assert {"torch", "autoscale.training.fit"} <= loaded
    assert "pandas" not in loaded


def test_a_search_begins_without_libraries_of_tables_and_databases() -> None:
    loaded = loaded_with(PACKAGE / "jobs" / "search" / "job.py")
    assert {"torch", "optuna"} <= loaded
    assert not {"pandas", "sqlalchemy", "fvcore"} & {name.partition(".")[0] for name in loaded}


def test_only_the_search_names_optuna_and_jobs_its_studies() -> None:
    rooms = {found.split("/")[1] for found in by_room({"optuna"})}
    assert rooms <= {"search", "jobs"}


def test_nothing_requires_another_library_of_networks() -> None:
    assert by_room({"torchvision", "timm"}) == []
    required = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"].get("optional-dependencies", {}).values():
        required += extra
    assert not [name for name in required if re.match(r"torchvision|timm", name)]


def test_the_library_does_not_import_experiments_or_tests() -> None:
    assert by_room({"experiments", "tests"}) == []


# What runs code

#: The files that may name what can run code, and what of it. `engines` sends objects between
#: processes that it started itself, never through a file.
RUNS_CODE: dict[str, set[str]] = {
    "__init__.py": {"import_module"},  # our own names, when they are first used
    "design/measures/registry.py": {"import_module"},  # our own costs, when asked for
    "cli/app.py": {"import_module"},  # our own commands, when they are typed
    "models/user_code.py": {"import_module"},  # what a command names
    "models/formats/python.py": {"exec", "compile"},  # the source that it has just written itself
    "datasets/sources/arrays/pickles.py": {"pickle.Unpickler"},  # which admits no name of others
    "engines/local.py": {"pickle"},
    "runs/weights.py": {"pickle.UnpicklingError"},
}
DANGEROUS = {"exec", "eval", "compile", "__import__", "import_module", "pickle", "dill", "marshal",
             "cloudpickle", "shelve", "joblib", "runpy", "spec_from_file_location"}  # fmt: skip


def calls_of(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file with its dotted name, such as `yaml.compose`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def dangers_of(path: Path) -> set[str]:
    """What a file uses of `DANGEROUS`: `pickle.UnpicklingError` alone, say, or all of `pickle`."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.partition(".")[0]} & DANGEROUS
            found |= {alias.name for alias in node.names} & DANGEROUS
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in DANGEROUS:
                found.add(f"{node.value.id}.{node.attr}")
            # re.compile and network.eval() are harmless
            found |= {node.attr} & DANGEROUS - {"compile", "eval"}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= {node.func.id} & DANGEROUS
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_runs_code_but_where_it_must(path: Path) -> None:
    allowed = RUNS_CODE.get(path.relative_to(PACKAGE).as_posix(), set())
    used = dangers_of(path)
    assert {name for name in used if name.partition(".")[0] not in allowed} <= allowed


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle\npickle.loads(b)", {"pickle.loads"}),
        ("from pickle import loads", {"pickle"}),
        ("eval('1')", {"eval"}),
        ("importlib.import_module(x)", {"import_module"}),
        ("re.compile('x')", set()),
        ("network.eval()", set()),
    ],
)
def test_the_search_for_what_runs_code_finds_it(
    tmp_path: Path, source: str, found: set[str]
) -> None:
    (tmp_path / "a.py").write_text(source)
    assert dangers_of(tmp_path / "a.py") == found


def test_yaml_is_read_by_the_safe_loader_everywhere() -> None:
    calls = [
        (name, ast.unparse(call), path)
        for path in SOURCES
        for name, call in calls_of(path)
        if name.startswith("yaml.")
    ]
    assert len(calls) >= 3
    safe = {"yaml.safe_load", "yaml.safe_dump"}
    composed = [text for name, text, _ in calls if name == "yaml.compose"]
    assert all(text.endswith("Loader=yaml.SafeLoader)") for text in composed)
    assert {name for name, _, _ in calls} <= safe | {"yaml.compose"}


def test_files_of_torch_and_numpy_are_read_as_numbers_only() -> None:
    loads = [
        (name, {word.arg: ast.unparse(word.value) for word in call.keywords})
        for path in SOURCES
        for name, call in calls_of(path)
        if name in ("torch.load", "torch.jit.load", "np.load", "numpy.load")
    ]
    for name, words in loads:
        if name.startswith("torch"):
            assert words.get("weights_only") == "True", name
        assert words.get("allow_pickle", "False") == "False"
    assert any(name == "torch.load" for name, _ in loads)


def test_no_command_goes_through_a_shell() -> None:
    for path in SOURCES:
        for name, call in calls_of(path):
            assert name not in ("os.system", "os.popen"), path
            assert not [word for word in call.keywords if word.arg == "shell"], path


def test_the_users_modules_are_imported_by_the_models_that_a_command_gives_a_name() -> None:
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        for name, _ in calls_of(path)
        if name == "named"
    }
    assert callers == {"models/count.py", "models/op_costs.py", "models/user_model.py"}


# What is shipped


def test_the_public_names_are_the_visible_ones() -> None:
    public = {name for name in getattr(autoscale, "__all__", ()) if not name.startswith("__")}
    visible = {
        name
        for name in dir(autoscale)
        if not name.startswith("_") and not isinstance(getattr(autoscale, name), ModuleType)
    }
    assert public == visible


def test_the_name_of_the_distribution_stands_in_one_place() -> None:
    assert PROJECT["project"]["name"] == NAME
    spelled = re.compile(rf"{NAME}\b|pip install (?!scipy)|autoscale\\*\[")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in SOURCES
        if path.name != "distribution.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if spelled.search(line)
    ]
    assert found == []


def test_every_extra_that_is_spelled_out_is_one_of_this_distribution() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    texts = [ROOT / "pyproject.toml", *ROOT.glob("*.md")]
    texts += [page for room in ("docs", "experiments") for page in (ROOT / room).rglob("*.md")]
    asked = [
        (text.relative_to(ROOT), name, extra)
        for text in texts
        for name, several in re.findall(
            r"([\w-]*autoscale[\w-]*)\[([a-z, ]+)\]", text.read_text(encoding="utf-8")
        )
        for extra in several.split(",")
    ]
    assert [one for one in asked if one[1] != NAME or one[2].strip() not in extras] == []
    assert {extra.strip() for _, _, extra in asked} >= {"parquet", "export", "postgresql"}
    assert install("export") == f'pip install "{NAME}[export]"'


def test_the_wheel_ships_the_folder_of_spaces() -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["search_spaces"] == "autoscale/search_spaces"
    assert SPACES


def test_the_source_distribution_lists_what_is_there_and_what_a_wheel_is_made_of() -> None:
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    # Without the stroke a name is taken wherever it stands.
    assert all(name.startswith("/") and (ROOT / name[1:]).exists() for name in listed)
    assert {"/autoscale", "/search_spaces", "/README.md", "/LICENSE"} <= set(listed)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_shipped_space_loads_and_bears_its_files_name(path: Path) -> None:
    space = SearchSpace.from_yaml(path.read_text(encoding="utf-8"), source=path.name)
    assert space.name == path.stem
    assert space.description


def test_no_file_mentions_a_path_of_somebodys_machine() -> None:
    place = re.compile(r"(?<![\w.:/~-])/(home|root|work|tmp|Users|mnt|opt|srv|var|usr)\b|\b[CD]:\\")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*SOURCES, *SPACES]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if place.search(line)
    ]
    assert found == []


# Tools


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=" ".join,
)
def test_the_sources_pass(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
