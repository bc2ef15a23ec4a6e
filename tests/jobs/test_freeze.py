"""What `--freeze` takes."""

from __future__ import annotations

import pytest

from autoscale.errors import InvalidSetting
from autoscale.jobs.train.freeze import Frozen
from autoscale.jobs.train.settings import TrainSettings


@pytest.mark.parametrize(
    ("text", "frozen"),
    [
        (None, Frozen()),
        ("stem", Frozen(stages=0)),
        ("2", Frozen(stages=2)),
        ("norms", Frozen(norms=True)),
        ("norms, 12", Frozen(stages=12, norms=True)),
        ("stem,norms", Frozen(stages=0, norms=True)),
        ("features", Frozen(features=True)),
    ],
)
def test_a_text_names_what_is_frozen(text: str | None, frozen: Frozen) -> None:
    assert Frozen.read(text) == frozen


@pytest.mark.parametrize(
    "text", ["", "head", "-1", "1.5", "2,3", "stem,2", "norms,norms", "2,", "²"]
)
def test_another_text_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"freeze must be stem, a number of stages .* got"):
        TrainSettings(network="efficientnet-b0", weights="b0.pth", freeze=text)


def test_nothing_untrained_is_frozen() -> None:
    with pytest.raises(InvalidSetting, match="--freeze 2 keeps weights that nothing has trained"):
        TrainSettings(network="efficientnet-b0", freeze="2")


@pytest.mark.parametrize(
    "option",
    ["epochs", "batch_size", "learning_rate", "layer_decay", "patience", "dropout", "drop_path",
     "time_limit", "start_size", "start_regularisation"],
)  # fmt: skip
def test_what_is_asked_of_epochs_is_refused_where_there_are_none(option: str) -> None:
    asked = {"network": "efficientnet-b0", "weights": "b0.pth", "freeze": "features"}
    flag = "--" + option.replace("_", "-")
    value = 2 if option == "batch_size" else 1
    with pytest.raises(InvalidSetting, match=f"without epochs; leave out {flag}$"):
        TrainSettings(**asked, **{option: value})  # type: ignore[arg-type]


def test_fields_of_the_recipe_are_refused_there_too() -> None:
    asked = {"network": "efficientnet-b0", "weights": "b0.pth", "freeze": "features"}
    with pytest.raises(InvalidSetting, match=r"without epochs; leave out --set$"):
        TrainSettings(**asked, set=("mixup=1",))  # type: ignore[arg-type]
