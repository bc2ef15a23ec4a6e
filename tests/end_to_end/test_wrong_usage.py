"""What is wrong in a command line itself has exit status 2 and one line that says what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autoscale.cli.app import COMMANDS, Command, main
from autoscale.settings.command import settings_of
from tests.models.networks import saved
from tests.quantization.designs import LITE

DESIGN = replace(LITE, num_classes=3)


def of_one_value(command: Command) -> list[str]:
    """The options of a command that take one value."""
    return [
        *(["--run"] if command.run else []),
        *(
            one.flag
            for one in settings_of(command.settings)
            if one.kind is not bool
            and not (one.many or one.option.argument or one.option.hidden or one.option.named)
        ),
    ]


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line of a refusal."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    said = " ".join(captured.err.split())  # which was folded
    assert said.startswith("autoscale: ")
    assert "Traceback" not in said
    return said


def test_an_option_of_one_value_is_typed_once(capsys: pytest.CaptureFixture[str]) -> None:
    seen = 0
    for command in COMMANDS:
        arguments = [one for one in settings_of(command.settings) if one.option.argument]
        for flag in of_one_value(command):
            typed = [command.name, *("x" for _ in arguments), flag, "3", f"{flag}=4"]
            said = refused(capsys, typed)
            number = f"{flag} 3 and 4: give one number"  # where NAME=VALUE stands behind it too
            assert f"{flag} takes one value, got 3 and 4; give one" in said or number in said
            seen += 1
    assert seen > 300
    addresses = ["--storage", "postgresql://me:secret@a/b", "--storage=postgresql://me@c/d"]
    said = refused(capsys, ["search-baseline", *addresses])
    assert said == "autoscale: --storage takes one value, got 2; give one of them"
    assert "--cache takes one value, got a and b" in refused(
        capsys, ["--cache", "a", "--cache", "b", "spaces"]
    )


def test_what_takes_several_values_and_a_switch_may_be_typed_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--op-cost", "aten::cumsum=0", "--op-cost", "aten::sort=0"]
    assert "runs no aten::cumsum, aten::sort" in refused(capsys, ["count", "resnet-18", *given])
    assert main(["count", "resnet-18", "--json", "--json"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("search-baseline --data nowhere", "no such folder or file: nowhere; give a folder of"),
        ("train efficientnet-b0 --data nowhere.csv", "no such folder or file: nowhere.csv; give"),
        ("make nowhere --limit macs=30M", "no such folder or file: nowhere; give a folder of"),
        ("evaluate WEIGHTS --data nowhere", "no such folder or file: nowhere; give a folder of"),
        ("calibrate WEIGHTS --data PHOTOS --reject 0.1 --unknown nowhere",
         "no such folder of unlabelled pictures: nowhere; name one"),
        ("predict nowhere.png gone.png --model WEIGHTS",
         "no such file: nowhere.png; name pictures, or folders of them"),
        ("export WEIGHTS out --data nowhere --dtype int8 --to onnx", "no such folder or file: now"),
        ("quantize WEIGHTS out --data nowhere", "no such folder or file: nowhere; give"),
        ("count efficientnet-b0 --config nowhere.yaml",
         "no such file: nowhere.yaml; name a job file, such as each step of a run leaves"),
        ("train efficientnet-b0 --data PHOTOS --recipe nowhere.yaml",
         "no such file: nowhere.yaml; name a recipe's YAML file"),
        ("train efficientnet-b0 --data PHOTOS --weights nowhere.pth", "no such file of weights"),
        ("search-baseline --data PHOTOS --cost energy:nowhere.yaml",
         "no such file: nowhere.yaml; name a YAML table of energies"),
        ("search-baseline --data PHOTOS --space nowhere.yaml", "no space 'nowhere.yaml'; choose"),
        ("count nowhere.yaml", "no such file: nowhere.yaml; name a design's YAML file"),
        ("grid --run nowhere", "nowhere holds no search; begin with"),
        ("status nowhere", "nowhere holds no run; begin with"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_was_expected(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"PHOTOS": str(photos)}
    if "WEIGHTS" in arguments:
        places["WEIGHTS"] = str(saved(tmp_path, DESIGN, classes=("blue", "green", "red")))
    assert said in refused(capsys, [places.get(word, word) for word in arguments.split()])
