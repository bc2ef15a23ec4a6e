"""Every command: its options, its record, its job file and its function come from its settings."""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from autoscale.cli.app import COMMANDS, app
from autoscale.cli.options import command
from autoscale.errors import InvalidSetting
from autoscale.jobs import names
from autoscale.jobs.workers.kernels import choose_kernels, load_kernels
from autoscale.listener import Silent
from autoscale.network.kernels.library import KernelsUnavailable
from autoscale.runs.job_file import job_text, read_job
from autoscale.settings.command import Settings, command_line, settings_of
from autoscale.settings.setting import Setting

BY_NAME = {one.name: one for one in COMMANDS}
#: What people type for settings that are parsed.
TYPED = {
    "mean": ["0.5", "0.485,0.456,0.406"],
    "deviation": ["0.25", "0.229,0.224,0.225"],
    "min_macs": ["5M", "100"],
    "max_macs": ["8M", "1.5G"],
    "rungs": ["1", "1,2"],
    "target": ["5M"],
    "coefficients": ["1.2,1.1,1.15"],
    "group_by": ["patient", "path:^(.*)_[0-9]+"],
    "aspect": ["4/3", "3/4"],
}
#: Texts that must be right for the settings to be.
TEXTS = {
    "rounding": ["tf", "nearest,divisor=2"],
    "move": ["width", "depth,resolution"],
    "max_cost": ["params=250K", "memory=256K", "macs=5M", "ram:float32=192KiB"],
    "budget": ["memory=2x", "energy=0.5x"],
    "cost_measure": ["macs", "latency"],
    "measure": ["macs", "params"],
    "loss": ["cross-entropy", "focal:2", "logit-adjusted:0.5"],
    "recipe": ["proxy", "full", "finetune"],
    "set": ["mixup=0.2", "augment=rand:2:9", "flip=false", "learning_rate=1e-05"],
}
#: Settings of a command that are not as by default if there is to be any.
NEEDED = {"make": {"max_cost"}, "try-weights": {"budgets"}, "cut": {"member"}}
NAMES = ["a", "-a", "photos/red ones", "b0.yaml", "7", "1e3", "null", "yes", "größe", "x: y", " "]


def values_of(setting: Setting) -> st.SearchStrategy[Any]:
    """Values that a setting may have."""
    one: st.SearchStrategy[Any]
    kind, least = str(setting.kind), setting.option.least
    if setting.option.parse is not None:
        one = st.sampled_from(TYPED[setting.name])
    elif setting.choices is not None:
        one = st.sampled_from([*setting.choices])
    elif "bool" in kind:
        one = st.booleans()
    elif "int" in kind:
        one = st.integers(int(least or 1), 40)
    elif "float" in kind:
        one = st.floats(0.001, 1) | st.integers(1, 3)
    else:
        one = st.sampled_from(TEXTS.get(setting.name, NAMES))
    return st.lists(one, min_size=1, max_size=3) if setting.many else one


@st.composite
def settings_for(draw: st.DrawFn, kind: type[Settings]) -> Settings:
    """Settings of a command, some of them not as by default."""
    known = [setting for setting in settings_of(kind) if on_record(setting)]
    usual = [setting.name for setting in known if not setting.required]
    changed = draw(st.sets(st.sampled_from(usual), max_size=4)) if usual else set()
    changed |= NEEDED.get(kind.command, set())
    try:
        return kind(
            **{
                setting.name: draw(values_of(setting))
                for setting in known
                if setting.required or setting.name in changed
            }
        )
    except InvalidSetting:  # two that do not go together
        assume(False)
        raise


def on_record(setting: Setting) -> bool:
    return setting.option.recorded and not setting.option.hidden


REACHED: list[Settings] = []


@functools.cache
def line_of(name: str) -> Any:
    """The command line of a command whose work only keeps its settings."""
    one = BY_NAME[name]
    made = typer.Typer(pretty_exceptions_enable=False)
    kept: Callable[..., None] = lambda settings, **_: REACHED.append(settings)  # noqa: E731
    made.command(name)(command(one.settings, kept, run=one.run, has_json=one.has_json))
    made.callback()(lambda: None)
    return typer.main.get_command(made)


def typed(*words: str) -> Settings:
    line_of(words[0]).main(list(words), standalone_mode=False)
    return REACHED.pop()


# Laws


@pytest.mark.parametrize("name", BY_NAME)
@examples(max_examples=25, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_plain_data_a_command_line_and_a_job_file_give_equal_settings(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    kind = BY_NAME[name].settings
    settings = data.draw(settings_for(kind))
    assert kind.read(settings.plain()) == settings
    first, *words = shlex.split(command_line(settings))
    assert first == "autoscale"
    assert typed(*words) == settings
    file = tmp_path_factory.getbasetemp() / f"{name}.yaml"
    file.write_text(job_text(settings), encoding="utf-8")
    assert kind.read(read_job(file, kind).settings) == settings
    if settings_of(kind):
        assert typed(name, "--config", str(file)) == settings


# Commands


def test_a_command_is_made_of_one_class_of_settings() -> None:
    assert len(BY_NAME) == len(COMMANDS)
    assert list(BY_NAME) == [one.settings.command for one in COMMANDS]
    offered = typer.main.get_command(app).commands
    assert list(offered) == list(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_list_of_commands_says_how_the_help_of_each_begins(name: str) -> None:
    whole = BY_NAME[name].whole
    assert whole.name == name
    assert " ".join(whole.help.partition("\n\n")[0].split()) == BY_NAME[name].summary


def classes_of_commands(kind: type[Settings] = Settings) -> set[type[Settings]]:
    found = {kind} if kind.__dict__.get("command") else set()
    return found.union(*(classes_of_commands(below) for below in kind.__subclasses__()))


def test_every_class_with_a_command_is_in_the_table() -> None:
    tables = {base for one in COMMANDS for base in one.settings.__mro__}  # imports all of them
    ours = {one for one in classes_of_commands() if one.__module__.startswith("autoscale.")}
    assert ours <= tables


@pytest.mark.parametrize("name", BY_NAME)
def test_every_setting_says_what_it_is(name: str) -> None:
    for setting in settings_of(BY_NAME[name].settings):
        assert setting.help.strip(), setting.name
        assert "{choices}" not in setting.help, setting.name


# Names that a registry holds


def test_names_that_help_lists_are_those_of_the_registries() -> None:
    from autoscale.design import cost
    from autoscale.design.rounding import ROUNDINGS
    from autoscale.devices.timing import conditions
    from autoscale.models import settings
    from autoscale.models.formats.registry import FORMATS
    from autoscale.search.objective import Objective
    from autoscale.search.samplers import SAMPLERS

    kinds = get_args(get_type_hints(Objective)["kind"])
    pairs: list[tuple[Iterable[str], Iterable[str]]] = [
        (names.SAMPLERS, SAMPLERS),
        (names.ROUNDINGS, ROUNDINGS),
        (names.OBJECTIVES, kinds),
        (settings.CONVENTIONS, cost.CONVENTIONS),
        (settings.FORMATS, FORMATS),
        (conditions.CLOCKS, get_args(conditions.Clock)),
    ]
    assert [list(told) for told, _ in pairs] == [list(held) for _, held in pairs]


def test_every_kind_of_kernels_that_is_offered_is_one() -> None:
    for name in names.KERNELS:
        try:
            load_kernels(name)
        except KernelsUnavailable:  # of this machine
            assert name == "native"
    with pytest.raises(InvalidSetting, match="no kernels 'fast'; choose from auto, native"):
        choose_kernels("fast", device="cpu", listener=Silent())


# One flag, two settings


@pytest.mark.parametrize(
    ("words", "images", "costs"),
    [
        ("--limit 100", 100, ()),
        ("--limit params=250K", None, ("params=250K",)),
        ("--limit params=250K --limit 100 --limit macs=8M", 100, ("params=250K", "macs=8M")),
        ("", None, ()),
    ],
)
def test_a_limit_is_of_images_or_with_a_name_of_costs(
    words: str, images: int | None, costs: tuple[str, ...]
) -> None:
    told = typed("grid", *words.split())
    assert (told.limit, told.max_cost) == (images, costs)  # type: ignore[attr-defined]


def test_what_is_typed_of_one_limit_leaves_a_job_files_other(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("command: grid\nlimit: 100\nmax_cost: [params=250K]\n")
    file = ("--config", str(job))
    for words, images, costs in (
        (file, 100, ("params=250K",)),
        ((*file, "--limit", "50"), 50, ("params=250K",)),
        ((*file, "--limit", "macs=8M"), 100, ("macs=8M",)),
    ):
        told = typed("grid", *words)
        assert (told.limit, told.max_cost) == (images, costs)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--limit 5 --limit 7", "--limit 5 and 7: give one number"),
        ("--limit many", "--limit takes a whole number or NAME=VALUE, got 'many'"),
        ("--limit speed=3", "speed"),
    ],
)
def test_a_limit_that_is_neither_is_refused(words: str, why: str) -> None:
    with pytest.raises(InvalidSetting, match=why):
        typed("grid", *words.split())


# What stands in the command line's own room


def test_options_are_typed_in_one_file_alone() -> None:
    room = Path(inspect.getfile(command)).parent
    assert [p.name for p in room.glob("*.py") if "Annotated[" in p.read_text(encoding="utf-8")] == [
        "options.py"
    ]
