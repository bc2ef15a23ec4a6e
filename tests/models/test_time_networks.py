"""`autoscale latency`: several networks in turns, for people and for machines."""

import json

import pytest

from autoscale.cli.app import main
from autoscale.errors import InvalidSetting
from autoscale.models.latency import time_networks


def test_networks_of_every_kind_are_measured_in_the_order_asked_for() -> None:
    names = ["efficientnet-b0", "torch.nn:Flatten", "efficientnet-b0"]
    table = time_networks(names, resolution=16, repeats=5).table
    assert list(table["network"]) == names[:2]
    assert list(table["resolution"]) == [16, 16]
    assert table["ratio"][0] == 1
    assert table["ratio"][1] == pytest.approx(table["steady_ms"][1] / table["steady_ms"][0])


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="name at least one network"):
        time_networks([])


def test_the_command_answers_people_with_the_conditions(capsys: pytest.CaptureFixture[str]) -> None:
    measure = ["latency", "efficientnet-b0", "--resolution", "16", "--repeats", "5"]
    assert main([*measure, "--batch", "2", "--precision", "1e-9"]) == 0
    shown = capsys.readouterr().out
    assert "Milliseconds for a batch of 2" in shown
    assert "eager, float32, 1 thread, batch norms folded, wall clock, on cpu" in shown
    assert "In memory maps lie channels-last." in " ".join(shown.split())
    assert "not known to 1e-09 of itself for efficientnet-b0" in shown


def test_the_command_answers_machines_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    measure = ["latency", "torch.nn:Flatten", "--resolution", "16", "--repeats", "5", "--no-fold"]
    assert main([*measure, "--clock", "cpu", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["networks"]
    assert (found["network"], found["repeats"], found["clock"]) == ("torch.nn:Flatten", 5, "cpu")
    assert not found["folded"]


def test_a_setting_that_cannot_be_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latency", "efficientnet-b0", "--clock", "cpu", "--threads", "2"]) == 2
    assert "choose clock wall" in capsys.readouterr().err
    assert main(["latency", "efficientnet-b00"]) == 2
    assert "did you mean efficientnet-b0" in capsys.readouterr().err
