"""Settings: written once as fields, read from texts, plain data, command lines and job files."""

from __future__ import annotations

import functools
import inspect
import itertools
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from typer.exceptions import TyperException

from autoscale.cli.app import COMMANDS
from autoscale.cli.options import command
from autoscale.errors import InvalidSetting
from autoscale.runs.job_file import job_text, read_job, recorded_job, write_job
from autoscale.runs.settings import difference
from autoscale.runs.store import StepFolder
from autoscale.settings.command import Groups, Settings, command_line, settings_of
from autoscale.settings.function import takes_settings
from autoscale.settings.option import again, in_words, option
from autoscale.settings.setting import Setting


def parse_pair(text: str) -> tuple[float, float]:
    try:
        first, second = map(float, text.split(","))
    except ValueError:
        raise InvalidSetting(f"not two numbers: {text}") from None
    return first, second


@dataclass(frozen=True, kw_only=True)
class Shared(Settings):
    workers: int = option(1, "At once.", least=1, binds=False, panel="Workers")
    data: str = option("synthetic", "Images.", place=True, binds=False)


@dataclass(frozen=True, kw_only=True)
class Bake(Shared):
    command: ClassVar[str] = "bake"

    thing: str = option(help="What.", argument=True, place=True)
    sort: str = option("rye", "{choices}.", choices=lambda: ("rye", "oat", "spelt"))
    heat: float = option(220.0, "Degrees.", flag="--oven", least=20)
    minutes: int | None = option(None, "How long.", least=1)
    slow: bool = option(False, "Slowly.")
    fold: bool = option(True, "Folded.")
    pair: tuple[float, float] | None = option(
        None, "Two.", parse=parse_pair, show=lambda pair: ",".join(map(str, pair))
    )
    beside: tuple[Path, ...] = option((), "More.", place=True)
    secret: str | None = option(None, "A password.", recorded=False, envvar="BAKE_SECRET")
    workers: int = again(Shared, "workers", 2)


@dataclass(frozen=True, kw_only=True)
class Roast(Bake):
    command: ClassVar[str] = "roast"
    exclusive: ClassVar[Groups] = (("heat", "pair", "marks=hot"), ("fold", "minutes"))
    needs: ClassVar[dict[str, str]] = {"rest": "slow"}

    marks: tuple[str, ...] = option((), "As NAME=VALUE.", flag="--workers", named=True)
    rest: int | None = option(None, "Minutes after a slow one.")


TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=12)
NUMBERS = st.floats(20, 1e6)
BAKES = st.builds(
    Bake,
    thing=TEXTS,
    data=TEXTS,
    sort=st.sampled_from(["rye", "oat", "spelt"]),
    heat=NUMBERS,
    minutes=st.none() | st.integers(1, 99),
    slow=st.booleans(),
    fold=st.booleans(),
    pair=st.none() | st.tuples(NUMBERS, NUMBERS),
    beside=st.lists(st.builds(Path, TEXTS), max_size=3).map(tuple),
    workers=st.integers(1, 9),
)


REACHED: list[tuple[Settings, dict[str, Any]]] = []


@functools.cache
def app() -> Any:
    def work(settings: Settings, **others: Any) -> None:
        REACHED.append((settings, others))

    made = typer.Typer(pretty_exceptions_enable=False)
    made.command("bake")(command(Bake, work, run="runs/default"))
    made.command("roast")(command(Roast, work))
    made.callback()(lambda: None)
    return typer.main.get_command(made)


def typed(*words: str) -> tuple[Any, dict[str, Any]]:
    """What a command line reaches the work as."""
    return reached("bake", *words)


def roasted(*words: str) -> Any:
    return reached("roast", *words)[0]


def reached(*words: str) -> tuple[Any, dict[str, Any]]:
    app().main([*words], standalone_mode=False)
    return REACHED.pop()


# Laws


@given(BAKES)
def test_plain_data_read_back_are_equal(settings: Bake) -> None:
    assert Bake.read(settings.plain()) == settings
    assert Bake.read(settings.changed()) == settings


@examples(max_examples=40)
@given(BAKES)
def test_a_command_line_gives_equal_settings(settings: Bake) -> None:
    first, name, *words = shlex.split(command_line(settings))
    assert (first, name) == ("autoscale", "bake")
    assert typed(*words) == (settings, {"run": Path("runs/default"), "as_json": False})


@examples(max_examples=40)
@given(BAKES)
def test_a_job_file_gives_equal_settings(tmp_path_factory: Any, settings: Bake) -> None:
    file = tmp_path_factory.getbasetemp() / "job.yaml"
    file.write_text(job_text(settings), encoding="utf-8")
    assert Bake.read(read_job(file, Bake).settings) == settings
    assert typed("--config", str(file))[0] == settings


# A field


def test_values_are_taken_as_people_and_python_write_them() -> None:
    values: dict[str, Any] = {"thing": Path("a/b"), "heat": 200, "pair": "1,2", "beside": ["x"]}
    assert Bake(**values) == Bake(thing="a/b", heat=200.0, pair=(1.0, 2.0), beside=(Path("x"),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"workers": True}, "workers must be a whole number, got True"),
        ({"workers": 1.5}, "workers must be a whole number, got 1.5"),
        ({"heat": float("nan")}, "heat must be a finite number, got nan"),
        ({"sort": "wheat"}, "no sort 'wheat'; choose from rye, oat, spelt"),
        ({"pair": (1.0,)}, "pair must be 2 values, each a number, got (1.0,)"),
        ({"pair": "1"}, "not two numbers: 1"),
        ({"beside": "x"}, "beside must be a list"),
        ({"slow": None}, "slow must be true or false, got None"),
    ],
)
def test_a_value_that_is_none_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        replace(Bake(thing="x"), **changes)
    assert str(refused.value).startswith(message)


def test_a_field_taken_again_keeps_its_help_and_its_limits() -> None:
    (workers,) = (setting for setting in settings_of(Bake) if setting.name == "workers")
    assert (workers.default, workers.help, workers.option.least) == (2, "At once.", 1)
    assert Shared().workers == 1


def test_help_lists_the_choices() -> None:
    (sort,) = (setting for setting in settings_of(Bake) if setting.name == "sort")
    assert sort.help == "rye, oat or spelt."


def test_names_are_put_in_words_with_what_they_mean_if_that_is_a_text() -> None:
    assert in_words(("a",)) == "a"
    assert in_words({"a": 1, "b": 2, "c": 3}) == "a, b or c"
    assert in_words({"a": "the first", "b": "the second"}) == "a: the first. b: the second"


def test_what_a_resumed_run_must_share_leaves_out_what_does_not_bind() -> None:
    assert {"data", "workers"}.isdisjoint(Bake(thing="x").binding())
    assert Bake(thing="x").binding()["heat"] == 220.0


def test_a_secret_is_kept_out_of_records_and_command_lines() -> None:
    settings = Bake(thing="x", secret="s3cret")
    told = [settings.plain(), settings.changed(), command_line(settings), job_text(settings)]
    assert "s3cret" not in str(told)


def test_places_can_be_named_without_the_folders_above_them() -> None:
    settings = Bake(thing="a/b/c.yaml", data="me/photos", beside=(Path("x/y"),))
    assert command_line(settings.without_places(), run="run") == (
        "autoscale bake --run run c.yaml --data photos --beside y"
    )


def test_a_field_that_the_command_line_could_not_set_back_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd(Settings):
        size: int | None = option(3, "Cannot be None again.")

    with pytest.raises(TypeError, match="size may be None"):
        Odd()


# A function


@takes_settings(Bake)
def bake(run: str, settings: Bake, *, listener: str = "nobody") -> tuple[str, Bake, str]:
    return run, settings, listener


def test_a_function_takes_its_settings_as_a_value_or_as_arguments() -> None:
    settings = Bake(thing="x", minutes=3)
    assert bake("run", settings) == ("run", settings, "nobody")
    assert bake("run", settings, minutes=4)[1] == replace(settings, minutes=4)
    assert bake("x", "run", minutes=3, listener="me") == ("run", settings, "me")
    assert bake(run="run", thing="x", minutes=3)[1] == settings
    assert bake(None, settings)[0] is None


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        (("x", "run", 3), {}, "takes thing, run by place, no more"),
        (("x", "run"), {"run": "other"}, "got run twice"),
        ((), {"run": "run"}, "needs thing"),
        (("x", "run"), {"colour": "red"}, "colour"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    values: tuple[Any, ...], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        bake(*values, **given)


def test_the_signature_of_a_function_shows_the_fields() -> None:
    names = list(inspect.signature(bake).parameters)
    assert names[:4] == ["thing", "run", "settings", "data"]
    assert names[-1] == "listener"
    assert "    heat: Degrees. By default 220.0." in (bake.__doc__ or "").splitlines()


def test_help_lists_what_stands_under_a_heading_last() -> None:
    assert [setting.name for setting in settings_of(Bake)][-1] == "workers"


def test_what_may_be_given_by_place_can_be_said() -> None:
    @takes_settings(Shared, places=["oven", "data"])
    def heat(oven: str, settings: Shared) -> tuple[str, Shared]:
        return oven, settings

    assert heat("big", "photos") == ("big", Shared(data="photos"))
    assert list(inspect.signature(heat).parameters) == ["oven", "data", "settings", "workers"]


# A job file


def test_what_is_typed_goes_before_the_environment_and_that_before_the_job_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("thing: x\nheat: 1e2\npair: [1, 2]\nrun: elsewhere\nbeside: [a, b]\n")
    settings, others = typed("--config", str(file), "--oven", "90", "--beside", "c")
    assert settings == Bake(thing="x", heat=90.0, pair=(1.0, 2.0), beside=(Path("c"),))
    assert others["run"] == Path("elsewhere")
    file.write_text("thing: x\nsecret: kept\n")
    assert typed("--config", str(file))[0].secret == "kept"
    monkeypatch.setenv("BAKE_SECRET", "other")
    assert typed("--config", str(file))[0].secret == "other"
    assert typed("--config", str(file), "--secret", "own")[0].secret == "own"
    monkeypatch.delenv("BAKE_SECRET")
    file.write_text("thing: x\nrun: elsewhere\n")
    assert typed("y", "--config", str(file), "--run", "r")[1]["run"] == Path("r")


@pytest.mark.parametrize(
    ("text", "words", "changes"),
    [
        ("pair: 1,2", "--oven 90", {"heat": 90.0}),
        ("heat: 90", "--pair 1,2", {"pair": (1.0, 2.0)}),
        ("heat: 90", "--workers hot=1", {"marks": ("hot=1",)}),
        ("marks: [hot=1, dry=2]", "--oven 90", {"heat": 90.0, "marks": ("dry=2",)}),
        ("marks: [hot=1, dry=2]", "--workers 3", {"workers": 3, "marks": ("hot=1", "dry=2")}),
        ("marks: [hot=1]\nworkers: 3", "--workers dry=2", {"workers": 3, "marks": ("dry=2",)}),
        ("heat: 90", "--oven 220 --pair 1,2", {"pair": (1.0, 2.0)}),
        ("minutes: 5", "--fold", {"minutes": 5}),
        ("minutes: 5", "--no-fold", {"fold": False}),
        ("fold: false", "--minutes 5", {"minutes": 5}),
        ("slow: true\nrest: 9", "", {"slow": True, "rest": 9}),
        ("slow: true\nrest: 9", "--no-slow", {}),
        ("slow: true", "--rest 9", {"slow": True, "rest": 9}),
    ],
)
def test_what_is_typed_goes_before_what_it_excludes_in_a_job_file(
    tmp_path: Path, text: str, words: str, changes: dict[str, Any]
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"thing: x\n{text}\n")
    expected = Roast(thing="x", **changes)
    assert roasted("--config", str(file), *words.split()) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--oven 90 --pair 1,2", "--oven 90.0 and --pair 1.0,2.0 exclude each other; give one"),
        ("--workers hot=1 --oven 90", "--oven 90.0 and --workers hot=1 exclude each other"),
        ("--workers hot=1 --workers hot=2", "--workers hot=1 and --workers hot=2 exclude each"),
        ("--no-fold --minutes 3", "--no-fold and --minutes 3 exclude each other; give one"),
        ("--slow --no-slow", "--slow and --no-slow exclude each other; give one of them"),
        ("--rest 3", "--rest 3 needs --slow; give that too, or leave --rest out"),
    ],
)
def test_what_excludes_each_other_is_refused_as_it_is_typed(words: str, message: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        roasted("x", *words.split())
    assert str(refused.value).startswith(message)


def test_two_job_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"^--config a and b: give one job file, and type"):
        typed("x", "--config", "a", "--config", "b")


@pytest.mark.parametrize("group", [("heat", "oven"), ("hot=1", "heat")])
def test_groups_name_settings_that_there_are(group: tuple[str, ...]) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd(Settings):
        exclusive: ClassVar[Groups] = (group,)
        heat: int = option(3, "Degrees.")

    with pytest.raises(TypeError, match=r"Odd has no (oven|hot)"):
        Odd()


# What a resumed run must share

#: Values of which each setting takes one, and what some settings need beside them.
VALUES = (
    "3x", "params=5K", "1.2,1.1,1.15", "1,2", "0.5", "efficientnet-b1", "a:b", "tf", "2..3",
    "local", "auto", "params", "energy:a.yaml=3x", "stem", "auroc", "focal:2", "finetune",
    "mixup=0.2", Fraction(4, 3),
    7, 0.25, 96, True, False,
)  # fmt: skip
BESIDE: tuple[dict[str, Any], ...] = (
    {}, {"solve": True}, {"engine": "ray"}, {"baseline": "resnet-18"}, {"rungs": "1"},
    {"teacher": "best.safetensors"}, {"weights": "efficientnet-lite0"},
    {"max_cost": ("params=6K",)}, {"budgets": "10M"}, {"dtype": "int8"}, {"epochs": 3},
    {"grow": True}, {"unknown": "others"}, {"shared_weights": True},
)  # fmt: skip
KINDS = tuple(
    one.settings
    for one in COMMANDS
    if any(setting.option.binds is not True for setting in settings_of(one.settings))
)


def with_another(kind: type[Settings], setting: Setting) -> Iterator[tuple[Settings, Settings]]:
    """Settings that differ in this one, and in what follows from it."""
    needed = {one.name: "efficientnet-b0" for one in settings_of(kind) if one.required}
    for beside, value in itertools.product(BESIDE, (*(setting.choices or ()), *VALUES)):
        try:
            before = kind(**{**needed, **beside})
            changed = {setting.name: (value,) if setting.many else value}
            after = kind(**{**needed, **beside, **changed})
        except (InvalidSetting, TypeError):
            continue
        if getattr(before, setting.name) != getattr(after, setting.name):
            yield before, after


def recorded(settings: Settings, fact: str) -> dict[str, Any]:
    """As a step records settings, one of which is bound by what it came to."""
    binding = settings.binding()
    notes = {name: value for name, value in settings.plain().items() if name not in binding}
    return {"settings": {**binding, fact: {"came": {"to": repr(notes)}}}, "notes": notes}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.command)
def test_whatever_differs_is_said_as_it_is_typed(kind: type[Settings]) -> None:
    for setting in settings_of(kind):
        binds = setting.option.binds
        if not binds or not setting.option.recorded or setting.option.hidden:
            continue
        before, after = next(with_another(kind, setting), (None, None))
        assert before is not None, setting.name
        assert after is not None
        fact = binds if isinstance(binds, str) else "came_to"
        for one, other in ((before, after), (after, before)):
            said = difference(recorded(one, fact), recorded(other, fact), settings_of(kind))
            assert not set(said) & set("{}[]'\""), said
            assert "None" not in said
            for settings in (one, other):
                value = getattr(settings, setting.name)
                words = setting.words(value) or [f"no {setting.flag}"]
                assert " ".join(words) in said
            assert difference(recorded(one, fact), recorded(one, fact), settings_of(kind)) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thing: x\nheet: 3", ":2:1: unknown setting heet; did you mean heat?"),
        ("thing: x\noven: 3", ":2:1: unknown setting oven; did you mean heat?"),
        ("thing: x\nminutes: 1.5", ":2:1: minutes must be a whole number, got 1.5"),
        ("minutes: 0", ":1:1: minutes must be at least 1, got 0"),
        ("sort: wheat", ":1:1: no sort 'wheat'; choose from"),
        ("pair: x", ":1:1: not two numbers: x"),
        ("slow: 1", ":1:1: slow must be true or false, got 1"),
        ("heat: warm", ":1:1: heat must be a number, got 'warm'"),
        ("command: fry", ":1:1: this is a job of fry, not of bake; give it to: autoscale fry"),
        (
            "command: [bake]",
            ":1:1: command must be a command's name, got ['bake']; write bake, or leave",
        ),
        ("command:", ":1:1: command must be a command's name, got None; write bake, or leave"),
        ("heat: 3\nheat: 4", ":2:1: heat: given twice; keep one"),
        ("format: 99\nheat: 3", ":1:1: was written by a newer autoscale"),
        ("- heat", ": expected keys and values, got a list"),
    ],
)
def test_a_mistake_in_a_job_file_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(InvalidSetting) as refused:
        typed("--config", str(file))
    assert str(refused.value).startswith(f"{file}{message}")


def test_a_text_in_a_job_file_may_look_like_a_number(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("thing: 2024\ndata: 007\n")
    assert typed("--config", str(file))[0] == Bake(thing="2024", data="007")


def test_a_job_file_without_what_is_needed_is_refused_as_usage(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("heat: 90\n")
    with pytest.raises(TyperException) as refused:
        typed("--config", str(file))
    assert refused.value.format_message() == "Missing argument 'thing'."


def test_a_step_knows_the_job_that_it_was_called_with(tmp_path: Path) -> None:
    step = StepFolder(tmp_path, "bake")
    assert recorded_job(step, Bake) is None
    write_job(step, Bake(thing="x", minutes=5))
    assert recorded_job(step, Bake) == Bake(thing="x", minutes=5)
