"""Arguments of every command that are of the wrong kind, contradict each other or are too much."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from autoscale.cli.app import COMMANDS as KNOWN
from tests.robustness.attempts import attempt, contents, is_clear, seeds, told
from tests.robustness.conftest import Finished

VALUES = (
    "", "-1", "0", "1", "1.5", "nan", "inf", "-inf", "1e999", "99999999999999999999", "٣", "½",
    "0x10", "abc", "naïve ünïcode ✓", "\x1b[2J", "\u202e", "a" * 5000, "/dev/null", "/dev/zero",
    "/proc/self/mem", "/", "..", "~", "--", "-", "2,1", "2..1", "..", ",", "1,nan", "$(id)", "%s",
    "[red]", "-2x", "nanx", "infx", "5Q", "1e400M", "os:system", "a:b:c", ":", "json:loads",
    "efficientnet", "cuda:9", "meta", "tf,divisor=0", "nearest,divisor=x", "aten::x=", "aten::x=-1",
    "12ms", "float16", "x.pdf", "tiny", "mnasnet", "synthetic",
)  # fmt: skip
#: Options that decide how long a valid command works, or that measure.
LONG = {"trials", "epochs", "seconds", "trainings", "measure", "to", "runtime", "batch", "repeats",
        "confirm", "networks", "seeds", "resolution", "limit", "batch_size", "data", "device",
        "threads"}  # fmt: skip
#: Values that are refused for every one of those.
WRONG = ("nan", "abc", "", "-1", "0", "1.5", "½", "99999999999999999999", "a" * 5000)
COMMANDS = ("search", "check", "grid", "plan", "family", "train", "calibrate", "count", "export",
            "status")  # fmt: skip
NEWER = ("latency", "report", "evaluate", "predict", "search", "grid")


def asked(made: Finished, rng: random.Random, names: Sequence[str] = COMMANDS) -> list[object]:
    """A command that is right but for one to three arguments."""
    arguments = list(made.commands[rng.choice(names)])
    command = next(one.whole for one in KNOWN if one.name == arguments[0])
    options = [option for option in command.params if option.name not in ("help", "plot")]
    for _ in range(rng.choice((1, 1, 2, 3))):
        option = rng.choice(options)
        value = rng.choice(WRONG if option.name in LONG else VALUES)
        if option.param_type_name == "argument":
            arguments[1] = value
        elif option.is_flag:
            arguments.append(rng.choice(option.opts))
        elif rng.random() < 0.08:
            arguments += [option.opts[-1][:-1], value]
        elif rng.random() < 0.05:
            arguments.append(option.opts[-1])
        else:
            arguments += [option.opts[-1], value]
    return arguments


@pytest.mark.parametrize("seed", seeds(20, 300))
def test_wrong_arguments_are_refused_in_one_line_and_the_run_left_alone(
    copied: Callable[[], Finished], seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    made = copied()
    before = contents(made.run)
    arguments = asked(made, random.Random(f"arguments {seed}"))
    answer = attempt(*arguments)
    assert is_clear(answer, partly=arguments[0] == "predict"), told(arguments)
    if answer.status:
        assert contents(made.run) == before, told(arguments)


@pytest.mark.parametrize("seed", seeds(15, 200))
def test_wrong_arguments_of_the_newer_commands_and_options_do_no_harm(
    copied: Callable[[], Finished], seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    made = copied()
    before = contents(made.run)
    rng = random.Random(f"newer {seed}")
    arguments = asked(made, rng, NEWER)
    staff = ("--workers", "--retries", "--trial-timeout", "--engine", "--address",
             "--cpus-per-trial", "--gpus-per-trial")  # fmt: skip
    if arguments[0] in ("search-baseline", "grid"):
        arguments += [rng.choice(staff), rng.choice(("0", "-1", "nan", "abc", "", "1e999"))]
    answer = attempt(*arguments)
    assert is_clear(answer, partly=arguments[0] == "predict"), told(arguments)
    if answer.status:
        assert contents(made.run) == before, told(arguments)


def test_every_command_has_help_and_refuses_an_unknown_option() -> None:
    for name in (one.name for one in KNOWN):
        assert attempt(name, "--help").status == 0
        answer = attempt(name, "--nonsense")
        assert answer.status == 2
        assert is_clear(answer)
