"""Recipes of one's own: fields set by name, and files of them."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import autoscale
from autoscale.cli.app import COMMANDS, main
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.status import run_status
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.groups.recipe import OwnRecipe, RecipeSettings, recipe_named
from autoscale.jobs.nested.settings import TrainFamilySettings, for_grown, for_member
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.train.settings import TrainSettings
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import NOTHING
from autoscale.runs.job_file import job_text, read_job
from autoscale.runs.weights import read_weights
from autoscale.settings.command import command_line, joined, settings_of
from autoscale.training.loss.balance import Balance
from autoscale.training.recipe import INHERITING_RATE, RECIPES, Recipe
from tests.conftest import Heard
from tests.jobs.as_a_worker import scores_of_a_worker
from tests.jobs.test_costs_and_limits import searched

NETWORK = """
resolution: 12
stem: {width: 8}
stages: [{block: mbconv, width: 8, depth: 1, expand_ratio: 1, stride: 2}]
num_classes: 3
"""
OWN = """
# photographs of my own
base: finetune
epochs: 3
batch_size: 8
learning_rate: 1e-3
mixup: 0.2
augment: rand:2:9
flip: false
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    return file


def asked(**options: Any) -> TrainSettings:
    return TrainSettings(network="a.yaml", **options)


# One recipe out of a name or a file, options and --set


def test_fields_are_read_by_their_types() -> None:
    texts = ("mixup=0.2", "epochs = 3", "flip=FALSE", "optimizer=adamw", "learning_rate=1e-3")
    recipe = RecipeSettings(recipe="full", set=texts).recipe_asked
    expected = {
        "mixup": 0.2, "epochs": 3, "flip": False, "optimizer": "adamw", "learning_rate": 0.001
    }  # fmt: skip
    assert recipe == replace(RECIPES["full"], **expected)


def test_without_any_of_it_a_recipe_is_the_named_one() -> None:
    for name, recipe in RECIPES.items():
        assert RecipeSettings(recipe=name).recipe_asked == recipe
        assert asked(recipe=name).recipe_asked == recipe
    assert asked().recipe_asked == RECIPES["full"]
    assert SearchSettings().recipe_asked == RECIPES["proxy"]
    assert GridSettings(data="x", baseline="b0").recipe_asked == RECIPES["proxy"]


def test_a_file_gives_fields_over_a_named_recipe(own: Path) -> None:
    expected = {
        "epochs": 3, "batch_size": 8, "learning_rate": 0.001, "mixup": 0.2, "flip": False,
        "augment": "rand:2:9",
    }  # fmt: skip
    assert asked(recipe=str(own)).recipe_asked == replace(RECIPES["finetune"], **expected)


def test_what_is_typed_wins_over_the_file(own: Path) -> None:
    found = asked(recipe=str(own), epochs=5, set=("mixup=0.5", "flip=true"))
    assert found.recipe_asked.epochs == 5
    assert found.recipe_asked.mixup == 0.5
    assert found.recipe_asked.flip
    assert found.recipe_asked.batch_size == 8


def test_the_learning_rate_follows_a_batch_size_that_is_given_without_one(tmp_path: Path) -> None:
    by_option = asked(batch_size=32).recipe_asked
    assert by_option == RECIPES["full"].with_batch(32)
    assert asked(set=("batch_size=32",)).recipe_asked == by_option
    file = tmp_path / "small.yml"
    file.write_text("base: full\nbatch_size: 32\n")
    assert asked(recipe=str(file)).recipe_asked == by_option
    assert asked(set=("batch_size=32", "learning_rate=0.3")).recipe_asked.learning_rate == 0.3
    assert asked(batch_size=32, learning_rate=0.3).recipe_asked.learning_rate == 0.3


def test_a_rate_that_is_given_is_that_of_networks_with_weights_too() -> None:
    assert SearchSettings().inheriting_rate == INHERITING_RATE
    assert SearchSettings(set=("learning_rate=0.01",)).inheriting_rate is None


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "epochs": st.integers(1, 500),
    "learning_rate": st.floats(1e-9, 1e9),
    "weight_decay": st.floats(0, 1),
    "optimizer": st.sampled_from(["sgd", "rmsprop", "adamw"]),
    "flip": st.booleans(),
    "mixup": st.floats(0, 5),
    "augment": st.sampled_from(["none", "trivial", "rand:3:5.5"]),
    "accumulate": st.integers(1, 9),
}


@examples(max_examples=50)
@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_a_file_and_the_same_fields_by_name_are_one_recipe(
    tmp_path_factory: pytest.TempPathFactory, given: dict[str, Any]
) -> None:
    file = tmp_path_factory.getbasetemp() / "recipe.yaml"
    texts = {n: str(v).lower() if isinstance(v, bool) else str(v) for n, v in given.items()}
    file.write_text("base: sgd\n" + "".join(f"{n}: {t}\n" for n, t in texts.items()))
    by_file = asked(recipe=str(file))
    by_name = asked(recipe="sgd", set=tuple(f"{n}={t}" for n, t in texts.items()))
    assert by_file == by_name
    assert by_file.recipe_asked == replace(RECIPES["sgd"], **given)
    # What is made of it again is the same.
    assert replace(by_file, seed=0) == by_file
    assert TrainSettings.read(by_file.plain()) == by_file


# Once each


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 3, "set": ("epochs=4",)}, "^--epochs 3 and --set epochs=4 exclude each other"),
        ({"epochs": 3, "set": ("epochs=3",)}, "^--epochs 3 and --set epochs=3 exclude each other"),
        ({"set": ("mixup=1", "mixup=1")}, "--set mixup is given twice; give one of them"),
        ({"learning_rate": 0.1, "set": ("mixup=1", "learning_rate=1")}, "exclude each other"),
    ],
)
def test_the_same_given_twice_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        asked(**options)


def test_every_field_with_an_option_of_its_own_excludes_the_same_in_set() -> None:
    kinds = [one.settings for one in COMMANDS if issubclass(one.settings, OwnRecipe)]
    assert {kind.command for kind in kinds} == {
        "search-baseline", "grid", "train", "train-family"
    }  # fmt: skip
    for kind in kinds:
        names = {one.name for one in settings_of(kind)} & {one.name for one in fields(Recipe)}
        pairs = {group for base in kind.__mro__ for group in vars(base).get("exclusive", ())}
        assert {(name, f"set={name}") for name in names} <= pairs, kind
        for one in settings_of(kind):
            assert one.name not in names or (one.option.binds, one.default) == ("recipe", None)
        assert "set" in {one.name for one in settings_of(kind)}


# Mistakes


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("mixp=0.2",), "--set: a recipe has no field 'mixp'; did you mean mixup?"),
        (("clip-norm=1",), "did you mean clip_norm?"),
        (("colour=0.2",), "a recipe has no field 'colour'; (did you mean|there are)"),
        (("zzz=1",), "a recipe has no field 'zzz'; there are epochs, batch_size, optimizer"),
        (("mixup",), "--set takes NAME=VALUE, such as mixup=0.2; got 'mixup'"),
        (("mixup=much",), "--set: mixup must be a number, got 'much'"),
        (("epochs=2.5",), r"--set: epochs must be a whole number up to 1,000,000,000, got '2.5'"),
        (("batch_size=" + "9" * 400,), "batch_size must be a whole number up to .*, got '9{39}"),
        (("flip=yes",), "--set: flip must be true or false, got 'yes'"),
        (("crop=centre",), "--set: crop must be one of random-resized, shift, none; got 'centre'"),
        (("mixup=-1",), "mixup must be at least 0"),
        (("epochs=0",), "epochs must be at least 1; got 0"),
        (("augment=rand",), "augment must be none, rand:N:M"),
        (("shift=0.2",), "shift means something with crop=shift alone, and the recipe's crop is "
                         "random-resized; give --set crop=shift too, or leave shift out"),
        (("step_length=0.1",), "means something with schedule=steps alone"),
    ],
)  # fmt: skip
def test_mistakes_are_said_in_a_line(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidSetting, match=message) as refused:
        asked(set=texts)
    assert "\n" not in str(refused.value)


def test_growth_of_augmentation_needs_some() -> None:
    with pytest.raises(InvalidSetting, match="start_regularisation lets augmentation grow, and"):
        SearchSettings(set=("start_regularisation=0.5",))
    found = SearchSettings(set=("start_regularisation=0.5", "augment=trivial")).recipe_asked
    assert found.regularisation_at(1) == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 3\n", "base must name the recipe that is changed, one of proxy, .*; got none"),
        ("base: fll\n", r":1:1: base must name the recipe .*; got 'fll'"),
        ("base: full\nmixp: 1\n", r":2:1: a recipe has no field 'mixp'; did you mean mixup\?"),
        ("base: full\nmixup: much\n", r":2:1: mixup must be a number, got 'much'"),
        ("base: full\nmixup: [1]\n", r":2:1: mixup must be one value, got \[1\]"),
        ("base: full\nmixup:\n", r":2:1: mixup must be a number, got ''"),
        ("base: full\nmixup: -1\n", r"own.yaml: mixup must be at least 0"),
        ("base: full\nmixup: 1\nmixup: 2\n", "mixup"),
        ("- base\n", "expected keys and values"),
        ("base: full\nformat: 9\n", "own.yaml:2:1: .*format 9"),
    ],
)
def test_mistakes_in_a_file_are_said_with_their_place(own: Path, text: str, message: str) -> None:
    own.write_text(text)
    with pytest.raises(InvalidSetting, match=message):
        asked(recipe=str(own))


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"no recipe 'ful'; choose from .* ends in \.yaml"):
        asked(recipe="ful")
    with pytest.raises(InvalidSetting, match="no recipe 'best'"):
        recipe_named("best")
    with pytest.raises(InvalidSetting, match=r"gone\.yaml"):
        asked(recipe=str(tmp_path / "gone.yaml"))


# What does not go together


@pytest.mark.parametrize("kind", [SearchSettings, asked])
def test_a_loss_of_labels_alone_refuses_smoothing_that_is_asked_for(kind: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"label_smoothing 0\.1 and --loss focal:2 exclude"):
        kind(loss="focal:2", set=("label_smoothing=0.1",))
    assert kind(loss="focal:2", set=("label_smoothing=0",)).recipe_asked.label_smoothing == 0


def test_scores_of_mixed_images_need_cross_entropy_and_no_teacher() -> None:
    source, recipe = ImageSource(data="synthetic"), replace(RECIPES["proxy"], mixup=0.2)
    with pytest.raises(
        InvalidSetting, match=r"mixup 0\.2 gives images two labels, and --loss focal"
    ):
        Proxy(source=source, recipe=recipe, balance=Balance(loss="focal:2"))
    lessons = Lessons(source="t", digest="d", resolution=None, weight=0.5, temperature=1.0, crops=1)
    with pytest.raises(InvalidSetting, match=r"mixup 0\.2 alters images, and a teacher's answers"):
        Proxy(source=source, recipe=recipe, transfer=replace(NOTHING, lessons=lessons))
    Proxy(source=source, recipe=recipe, balance=Balance(class_weights="balanced"))


def test_a_grid_of_a_search_has_its_recipe(tmp_path: Path, photos: Path) -> None:
    assert GridSettings(set=("mixup=1",)).decided == ["set"]
    searched(tmp_path / "run", data=str(photos), set=("mixup=0.3",))
    with pytest.raises(InvalidSetting, match="has decided --set; leave it out"):
        autoscale.grid_search(tmp_path / "run", set=("mixup=1",), alpha="1..1.5")


# Job files, and what is typed beside them


def test_a_job_file_holds_the_recipe_without_its_file(own: Path, tmp_path: Path) -> None:
    settings = asked(recipe=str(own), epochs=7)
    own.unlink()
    job = tmp_path / "job.yaml"
    job.write_text(job_text(settings))
    assert "own.yaml" not in job.read_text()
    again = TrainSettings.read(read_job(job, TrainSettings).settings)
    assert again == settings
    assert "own.yaml" not in command_line(settings)


def test_a_job_file_may_name_a_file(own: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"network: a.yaml\nrecipe: {own}\nset: [mixup=0.5]\n")
    found = TrainSettings.read(read_job(job, TrainSettings).settings)
    assert found.recipe_asked.mixup == 0.5
    assert found.recipe_asked.epochs == 3


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"set": ["mixup=0.5"]}, {"set": ["erasing=0.1", "mixup=0.5"], "epochs": 5}),
        ({"set": ["epochs=2"]}, {"set": ["mixup=0.2", "erasing=0.1", "epochs=2"]}),
        ({"epochs": 2}, {"set": ["mixup=0.2", "erasing=0.1"], "epochs": 2}),
        ({"recipe": "proxy"}, {"recipe": "proxy", "epochs": 5}),
        ({"recipe": "proxy", "set": ["mixup=1"]},
         {"recipe": "proxy", "set": ["mixup=1"], "epochs": 5}),
    ],
)  # fmt: skip
def test_what_is_typed_goes_before_a_job_file_field_by_field(
    typed: dict[str, Any], expected: dict[str, Any]
) -> None:
    job = {"set": ["mixup=0.2", "erasing=0.1"], "epochs": 5}
    assert joined(TrainSettings, job, typed) == expected


def test_a_field_of_a_job_file_gives_way_to_its_option() -> None:
    job = {"set": ["epochs=9", "mixup=0.2"]}
    assert joined(TrainSettings, job, {"epochs": 2}) == {"set": ["mixup=0.2"], "epochs": 2}
    changed = asked(set=("epochs=9", "mixup=0.2")).but(epochs=2)
    assert (changed.epochs, changed.set) == (2, ("mixup=0.2",))


# Runs


def trained(run: Path, photos: Path, **options: Any) -> Any:
    (run.parent / "net.yaml").write_text(NETWORK)
    return autoscale.train(
        str(run.parent / "net.yaml"), run, data=str(photos), kernels="torch", **options
    )


def recipe_of(run: Path, step: str = "train") -> dict[str, Any]:
    record = json.loads((run / step / "settings.json").read_text())
    found: dict[str, Any] = record["settings"]["recipe"]
    return found


def test_a_training_records_its_recipe_by_content_and_goes_on_without_the_file(
    own: Path, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    found = trained(run, photos, recipe=str(own))
    own.unlink()
    settings = asked(
        recipe="finetune",
        set=(
            "epochs=3", "batch_size=8", "learning_rate=0.001", "mixup=0.2", "flip=false",
            "augment=rand:2:9",
        ),
    )  # fmt: skip
    assert recipe_of(run) == asdict(settings.recipe_asked)
    assert main(["train", "--config", str(run / "train" / "job.yaml"), "--run", str(run)]) == 0
    by_name = trained(run, photos, recipe="finetune", set=settings.set)
    assert by_name.epochs == found.epochs
    said = read_weights(found.weights).header.provenance
    assert said is not None
    assert "recipe finetune with epochs=3, batch_size=8, learning_rate=0.001, mixup=0.2" in said
    (status,) = run_status(run).steps
    assert (status.done, status.asked) == (3, 3)
    for other in ({"set": ("mixup=0.3", *settings.set[4:])}, {}):
        with pytest.raises(RunConflict, match=r"begun with other settings: .*--set mixup=0.2"):
            trained(run, photos, recipe="finetune", epochs=3, batch_size=8, **other)


def test_a_training_broken_off_ends_with_the_bits_of_the_unbroken_one(
    photos: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "recipe": "proxy", "epochs": 3, "batch_size": 8,
        "set": ("mixup=0.3", "cutmix=1", "augment=trivial", "erasing=0.3", "color_jitter=0.2",
                "accumulate=2", "clip_norm=1"),
    }  # fmt: skip
    whole = trained(tmp_path / "whole", photos, **options)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", photos, **options, listener=Heard(stop_after=1))
    resumed = trained(tmp_path / "run", photos, **options)
    assert Path(whole.weights).read_bytes() == Path(resumed.weights).read_bytes()
    assert [e.loss for e in whole.epochs] == [e.loss for e in resumed.epochs]


FIELDS_SET = ("mixup=0.3", "augment=rand:1:5", "accumulate=2", "batch_size=4")


@pytest.mark.slow
def test_workers_give_the_scores_of_one_process(photos: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"data": str(photos), "sampler": "random", "set": FIELDS_SET}
    found = (searched(tmp_path / "a", **options), searched(tmp_path / "b", workers=2, **options))
    alone, spread = (
        sorted(trial.score.accuracy for trial in one.trials if trial.score) for one in found
    )
    assert alone == spread


def test_a_search_and_its_workers_train_by_what_is_set(photos: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"data": str(photos), "sampler": "random"}
    fields_set = FIELDS_SET
    searched(tmp_path / "a", set=fields_set, **options)
    usual = searched(tmp_path / "c", **options)
    kept, again = scores_of_a_worker(tmp_path / "a")
    assert again == kept
    recipe = recipe_of(tmp_path / "a", "search")
    assert recipe == asdict(SearchSettings(set=fields_set, epochs=1).recipe_asked)
    assert recipe_of(tmp_path / "c", "search")["mixup"] == 0
    assert usual.trials
    with pytest.raises(RunConflict, match=r"--set mixup=0\.3 "):
        searched(tmp_path / "a", set=("mixup=0.4",), **options)


def test_members_of_a_family_take_the_recipe_and_those_that_grow_their_own_epochs(
    own: Path,
) -> None:
    settings = TrainFamilySettings(
        data="photos", recipe=str(own), set=("mixup=0.4",), grow=True, grown_epochs=2,
        grown_learning_rate=0.01,
    )  # fmt: skip
    first = for_member(settings, "phi-0.yaml", "photos")
    assert (first.recipe_asked.mixup, first.recipe_asked.epochs) == (0.4, 3)
    later = for_grown(settings, "phi-1.yaml", "photos", before=Path("a.safetensors"))
    assert later.recipe_asked == replace(first.recipe_asked, epochs=2, learning_rate=0.01)
    assert later.weights == "a.safetensors"
