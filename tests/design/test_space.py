from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture
from autoscale.design.choices import StageChoices, StemChoices
from autoscale.design.cost import cost
from autoscale.design.rounding import last_map
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting, InvalidSpace
from tests.strategies import designs_in_spaces, points, spaces

FILES = Path(__file__).parents[2] / "search_spaces"
SHIPPED = {
    path.stem: SearchSpace.from_yaml(path.read_text(encoding="utf-8"), source=path.name)
    for path in sorted(FILES.glob("*.yaml"))
}
TINY = SHIPPED["tiny"]
shipped_designs = st.sampled_from(list(SHIPPED.values())).flatmap(
    lambda space: st.tuples(
        st.just(space), st.integers(0).map(lambda seed: space.sample(random.Random(seed)))
    )
)
any_designs = designs_in_spaces() | shipped_designs
In = tuple[SearchSpace, Architecture]


def read(stages: str, **others: str) -> SearchSpace:
    settings = {"name": "test", "resolution": "32", "stem": "{width: 8}", "stages": stages} | others
    text = "\n".join(f"{key}: {value}" for key, value in settings.items())
    return SearchSpace.from_yaml(text, source="test.yaml")


# The shipped spaces


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tiny", 64),
        ("nas-bench-macro", 6_561),  # Su et al. 2021
        ("mnasnet", 288 * 432**5 * 288),  # Tan et al. 2019: S = 432 of a typical block
    ],
)
def test_the_number_of_points_of_a_shipped_space(name: str, size: int) -> None:
    assert SHIPPED[name].size == size


@pytest.mark.parametrize("name", ["tiny", "nas-bench-macro"])
def test_a_small_space_enumerates_as_many_designs_as_points(name: str) -> None:
    designs = list(SHIPPED[name].enumerate())
    assert len(designs) == len(set(designs)) == SHIPPED[name].size


def test_the_digits_of_nas_bench_macro_are_identity_and_two_kinds_of_mbconv() -> None:
    design = SHIPPED["nas-bench-macro"].architecture_at([0, 1, 2, 0, 0, 0, 0, 0])
    kinds = [(stage.block, stage.expand_ratio, stage.kernel) for stage in design.stages[:3]]
    assert kinds == [("identity", 1, 3), ("mbconv", 3, 3), ("mbconv", 6, 5)]
    assert [stage.width for stage in design.stages] == [64, 64, 128, 128, 128, 256, 256, 256]


# Points


@given(any_designs)
def test_point_of_undoes_architecture_at(found: In) -> None:
    space, design = found
    point = space.point_of(design)
    assert point is not None
    assert space.architecture_at(point) == design
    assert space.contains(design)


def test_point_of_gives_the_first_of_several_points() -> None:
    space = read("[{block: [identity, mbconv], kernel: [5, 3], width: 8}]")
    assert space.point_of(space.architecture_at((0, 0))) == (0, 0)


def test_a_space_contains_what_the_more_specific_of_two_ops_gives() -> None:
    space = read("[{op: [{block: mbconv}, {block: mbconv, kernel: 5}], width: 8}]")
    assert all(space.contains(design) for design in space.enumerate())


@given(spaces())
def test_enumerating_gives_every_design_once(space: SearchSpace) -> None:
    designs = list(space.enumerate())
    assert len(designs) == len(set(designs)) <= space.size
    assert all(space.contains(design) for design in designs)


@given(spaces() | st.sampled_from(list(SHIPPED.values())), st.integers())
def test_samples_lie_in_the_space_and_repeat_with_the_seed(space: SearchSpace, seed: int) -> None:
    design = space.sample(random.Random(seed))
    assert space.contains(design)
    assert design == space.sample(random.Random(seed))


def test_samples_are_uniform() -> None:
    rng = random.Random(0)
    drawn = [TINY.sample(rng) for _ in range(6400)]
    counts = [drawn.count(design) for design in TINY.enumerate()]
    chi_squared = sum((count - 100) ** 2 / 100 for count in counts)
    assert chi_squared < 103.4  # 63 degrees of freedom, one in a thousand


def test_a_design_of_another_size_image_class_count_or_shape_is_outside() -> None:
    (design,) = read("[{width: 8}]").enumerate()
    for other in [
        read("[{width: 16}]"),
        read("[{width: 8}, {width: 8}]"),
        read("[{width: 8}]", resolution="33"),
        read("[{width: 8}]", num_classes="11"),
        read("[{width: 8}]", stem="{width: 9}"),
        read("[{width: 8}]", head="{width: 8}"),
    ]:
        assert not other.contains(design)
        assert other.point_of(design) is None
        with pytest.raises(InvalidSetting, match="the space 'test' does not contain this"):
            other.params_of(design)


# Optuna


@given(any_designs)
def test_a_trial_with_a_designs_parameters_asks_for_it(found: In) -> None:
    space, design = found
    params = space.params_of(design)
    assert list(params) == [parameter.name for parameter in space.parameters]
    assert space.suggest(optuna.trial.FixedTrial(params)) == design
    assert space.from_params(params) == design


def test_a_studys_trial_remembers_the_design() -> None:
    space = SHIPPED["nas-bench-macro"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    design = space.suggest(trial)
    assert space.from_params(trial.params) == design
    assert trial.params["stage2.op"] in {
        "identity",
        "mbconv, expand_ratio 3, kernel 3",
        "mbconv, expand_ratio 6, kernel 5",
    }


def test_an_op_that_sets_what_its_block_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidSpace, match="conv blocks have no expand_ratio"):
        read("[{op: [{block: conv}, {block: conv, expand_ratio: 3}], width: 8}]")


def test_what_an_op_chooses_is_not_chosen_beside_it() -> None:
    with pytest.raises(InvalidSpace, match="kernel is chosen by op as well"):
        read("[{op: [{block: conv}, {block: conv, kernel: 5}], kernel: [1, 3], width: 8}]")


def test_an_op_leaves_what_it_does_not_set_to_the_stage() -> None:
    space = read("[{op: [{block: mbconv}, {block: separable}], expand_ratio: 4, width: 8}]")
    assert [design.stages[0].expand_ratio for design in space.enumerate()] == [4, 1]


# Cost


@given(spaces() | st.just(TINY))
def test_the_range_of_multiply_adds_is_that_of_all_designs(space: SearchSpace) -> None:
    macs = [cost(design).macs for design in space.enumerate()]
    assert space.macs_range() == (min(macs), max(macs))


@given(st.data())
def test_many_points_are_counted_as_their_designs(data: st.DataObject) -> None:
    space = data.draw(spaces() | st.sampled_from([TINY, *SHIPPED.values()]))
    chosen = data.draw(st.lists(points(space), max_size=5))
    assert space.macs_of(chosen) == [cost(space.architecture_at(p)).macs for p in chosen]


def test_multiply_adds_of_a_space_are_exact_beyond_64_bits() -> None:
    stage = StageChoices(width=(10**6,), depth=(1, 10**6), expand_ratio=(1, 10**6))
    space = SearchSpace(
        name="vast", resolution=(10**5,), stem=StemChoices(width=(10**6,)), stages=(stage,) * 2
    )
    last = tuple(len(parameter.options) - 1 for parameter in space.parameters)
    most = cost(space.architecture_at(last)).macs
    assert most > 2**64
    assert space.macs_range()[1] == most == space.macs_of([last])[0]


def test_the_range_of_a_vast_space_holds_its_samples() -> None:
    space, rng = SHIPPED["mnasnet"], random.Random(0)
    low, high = space.macs_range()
    assert all(low <= cost(space.sample(rng)).macs <= high for _ in range(200))


# Other images


@given(spaces(), st.integers(4, 300), st.integers(1, 1000))
def test_for_another_task_images_and_classes_change_and_a_map_of_four_pixels_is_left(
    space: SearchSpace, resolution: int, num_classes: int
) -> None:
    fitted = space.for_task(resolution=resolution, num_classes=num_classes)
    design = fitted.sample(random.Random(0))
    assert (design.resolution, design.num_classes) == (resolution, num_classes)
    assert last_map(design) >= 4
    names = [parameter.name for parameter in space.parameters if parameter.name != "resolution"]
    assert [parameter.name for parameter in fitted.parameters] == names


def test_without_a_resolution_the_space_keeps_its_own() -> None:
    assert TINY.for_task(num_classes=3).sample(random.Random(0)).resolution == 24


def test_a_space_that_fits_keeps_its_strides() -> None:
    assert TINY.for_task(resolution=16, num_classes=10).stages == TINY.stages
    assert TINY.for_task(resolution=12, num_classes=10).stages != TINY.stages


def test_every_resolution_of_a_space_leaves_a_map_of_four_pixels() -> None:
    space = read("[{width: 8, stride: 2}, {width: 8, stride: 2}]", resolution="[64, 16]")
    for design in space.for_task(num_classes=3).enumerate():
        assert last_map(design) >= 4


@pytest.mark.parametrize("resolution", [3, 1])
def test_images_too_small_for_any_map_are_refused(resolution: int) -> None:
    with pytest.raises(InvalidSetting, match="resolution must be at least 4 pixels"):
        TINY.for_task(resolution=resolution, num_classes=2)


@pytest.mark.parametrize("task", [{"resolution": 0, "num_classes": 2}, {"num_classes": 0}], ids=str)
def test_a_task_without_pixels_or_classes_is_an_invalid_setting(task: Any) -> None:
    with pytest.raises(InvalidSetting):
        TINY.for_task(**task)


# Mistakes

TEXT = """\
name: mine
resolution: 32
stem: {width: 8}
stages:
  - block: mbconv
    width: [8, 16]
    kernel: [3, 5]
  - op: [{block: conv}, {block: mbconv, expand_ratio: 3}]
    width: 24
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kernel: [3, 5]", "kernle: 3", "7:5: stages.1.kernle: unknown key; did you mean kernel?"),
        ("expand_ratio", "expand", "8:41: stages.2.op.2.expand: unknown key; did you mean expand_"),
        ("name: mine\n", "", "1:1: name: missing"),
        ("block: mbconv\n", "kernel: 3\n", "7:5: kernel: given twice; keep one"),
        ("[8, 16]", "[8, yes]", "6:16: stages.1.width.2: input should be a valid integer, got T"),
        ("[8, 16]", "[8, 1.5]", "6:16: stages.1.width.2: input should be a valid integer, got 1"),
        ("[8, 16]", "[]", "5:5: stages.1: width needs at least one option"),
        ("[8, 16]", "[8, 8]", "5:5: stages.1: width: an option stands twice; keep one"),
        ("[8, 16]", "[8, 0]", "5:5: stages.1: width must be a whole number of at least 1, got 0"),
        ("[3, 5]", "[3, 4]", "5:5: stages.1: kernel must be odd, got 4"),
        ("kernel: [3, 5]", "stride: [1, 2]", "7:5: stages.1.stride: input should be a valid inte"),
        ("kernel: [3, 5]", "stride: 3", "5:5: stages.1: stride must be 1 or 2, got 3"),
        ("block: conv", "block: con", "8:11: stages.2.op.1.block: input should be 'mbconv', "),
        ("stem: {width: 8}", "stem: {}", "3:7: stem.width: missing"),
        ("resolution: 32", "resolution: []", "1:1: resolution needs different options, got []"),
        ("resolution: 32", "resolution: [9, 9]", "1:1: resolution needs different options, got ["),
        ("resolution: 32", "resolution: [", "4:1: not valid YAML"),
    ],
    ids=str,
)
def test_a_mistake_is_named_with_file_line_column_and_key(old: str, new: str, message: str) -> None:
    assert SearchSpace.from_yaml(TEXT).size == 8
    with pytest.raises(InvalidSpace) as refusal:
        SearchSpace.from_yaml(TEXT.replace(old, new, 1), source="mine.yaml")
    assert str(refusal.value).startswith(f"mine.yaml:{message}")


def test_an_unknown_key_stands_on_its_own_line() -> None:
    text = TEXT.replace("kernel: [3, 5]", "kernle:\n      - 3\n      - 5")
    with pytest.raises(InvalidSpace, match=r"^mine\.yaml:7:5: stages\.1\.kernle: unknown key"):
        SearchSpace.from_yaml(text, source="mine.yaml")


def test_a_space_without_stages_is_refused() -> None:
    with pytest.raises(InvalidSpace, match="a space needs at least one stage"):
        read("[]")


def test_options_that_only_together_make_no_network_are_refused() -> None:
    with pytest.raises(InvalidSpace, match="a bottleneck's width must be at least 4"):
        read("[{block: [conv, bottleneck], width: [4, 2]}]")


def test_a_later_resolution_that_no_image_has_is_refused() -> None:
    with pytest.raises(InvalidSpace, match="resolution must be a whole number of at least 1"):
        read("[{width: 8}]", resolution="[32, 0]")


@pytest.mark.parametrize("name", SHIPPED)
def test_points_are_drawn_as_randrange_draws_them(name: str) -> None:
    space = SHIPPED[name]
    counts = [len(parameter.options) for parameter in space.parameters]
    one, other = random.Random(7), random.Random(7)
    for _ in range(200):
        assert space.draw(one) == tuple(other.randrange(count) for count in counts)
    assert one.random() == other.random()
