"""A board's limits hold in a search, a grid and a family; what nothing keeps is refused."""

import json
import random
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autoscale
from autoscale.design.measures.flash import Flash
from autoscale.design.measures.limits import Limit, broken, nearest_costs, require_reachable
from autoscale.design.measures.ram import Ram
from autoscale.design.rounding import Coefficients, rounding_policy
from autoscale.design.space import SearchSpace
from autoscale.design.tflite.graph import PRECISIONS
from autoscale.devices.board import Board, Reserve
from autoscale.devices.boards import load_board
from autoscale.errors import BudgetUnreachable, InvalidSetting, RunConflict
from autoscale.jobs.costs import board_of, limits_from
from autoscale.jobs.grid.candidates import GridRace, is_timed
from autoscale.jobs.grid.settings import FamilySettings, GridSettings
from autoscale.jobs.inheritance import takes_over
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.search.spaces import load_space
from autoscale.pipeline.settings import MakeSettings
from autoscale.runs.job_file import read_job
from autoscale.scaling.scalable import Design
from autoscale.settings.command import command_line
from tests.jobs.test_costs_and_limits import Heard, searched

#: Shares of what the smallest design of a space needs, of flash and of RAM.
TOO_LITTLE = ((0.9, 2.0), (2.0, 0.9), (0.5, 0.5), (None, 0.1), (0.2, None))
REFUSED = [
    *product(("tiny", "mbconv-small", "pixels-or-width"), TOO_LITTLE),
    *product(("lite",), TOO_LITTLE[1:4]),
    *product(("mcu",), TOO_LITTLE[2:4]),
]


space_named = cache(load_space)


@cache
def least(name: str) -> tuple[float, float]:
    """Bytes of the smallest file and of the smallest arena of a space."""
    flash, ram = (nearest_costs(space_named(name), [Limit(m, 1)])[0] for m in (Flash(), Ram()))
    return flash, ram


def board_with(name: str, flash: float | None, ram: float | None) -> Board:
    """A board with such shares of what a space needs at least."""
    shares = zip(("flash", "ram"), (flash, ram), least(name), strict=True)
    sizes = {what: round(share * size) for what, share, size in shares if share is not None}
    return Board(name="small", **sizes)


@pytest.mark.parametrize(("name", "shares"), REFUSED)
def test_a_board_that_no_design_fits_is_refused_with_what_the_nearest_needs(
    name: str, shares: tuple[float | None, float | None]
) -> None:
    space = space_named(name)
    limits = board_with(name, *shares).limits()
    with pytest.raises(BudgetUnreachable) as refused:
        require_reachable(space, limits)
    nearest = nearest_costs(space, limits)
    for limit, cost in zip(limits, nearest, strict=True):
        assert f"{limit.most:,}" in str(refused.value)
        assert f"{cost:,}" in str(refused.value)
    # What the nearest needs is enough.
    require_reachable(space, [replace(m, most=c) for m, c in zip(limits, nearest, strict=True)])


def test_two_kilobytes_of_ram_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text("kind: board\nname: two\nram: 2KiB\n")
    with pytest.raises(
        BudgetUnreachable,
        match=r"two: no network of the space 'tiny' costs at most 2,048 bytes of RAM; the cheapest "
        r"costs \d\d,\d\d\d; raise the limit or choose another space",
    ):
        searched(tmp_path / "run", board=str(tmp_path / "two.yaml"))
    assert not (tmp_path / "run" / "search" / "trials.jsonl").exists()


def test_a_search_trains_what_fits_and_whoever_goes_on_has_the_same_board(tmp_path: Path) -> None:
    file, run, heard = tmp_path / "b.yaml", tmp_path / "run", Heard()
    file.write_text("kind: board\nname: b\nflash: 64K\nram: 50K\nreserve: {flash: 20K, ram: 8K}\n")
    asked = {"board": str(file), "sampler": "random", "trials": 2}
    found = searched(run, **asked, listener=heard)
    assert any(line.startswith("b leaves a network 44,000 bytes") for line in heard.notices)
    limits = load_board(str(file)).limits()
    trained = [trial for trial in found.trials if trial.trained]
    assert len(trained) == 2
    assert not [trial for trial in trained if broken(limits, trial.architecture)]
    recorded = json.loads((run / "search" / "settings.json").read_text())["settings"]["max_cost"]
    assert {name: plain["most"] for name, plain in recorded.items()} == {
        "flash": 44_000, "ram": 42_000
    }  # fmt: skip
    again = SearchSettings.read(read_job(run / "search" / "job.yaml", SearchSettings).settings)
    assert again.board == str(file)
    assert f"--board {file}" in command_line(again)
    # What the board leaves binds, not where its file lies.
    moved = {**asked, "board": str(file.rename(tmp_path / "moved.yaml"))}
    assert searched(run, **{**moved, "trials": 3}).trials[: len(found.trials)] == found.trials
    file = tmp_path / "moved.yaml"
    file.write_text(file.read_text().replace("50K", "60K"))
    with pytest.raises(RunConflict, match=r"max_cost.ram.most is 42000 there, asked for 52000"):
        searched(run, **moved)


# Limits beside a board


def test_the_lower_of_two_limits_counts_and_a_board_says_of_which_file() -> None:
    board = Board(name="b", dtype="float32", flash=500_000, ram=200_000)
    found = {x.measure.name: x for x in limits_from(["ram=100K", "macs=1M"], board=board)}
    assert {name: limit.most for name, limit in found.items()} == {
        "ram": 100_000, "macs": 1_000_000, "flash": 500_000
    }  # fmt: skip
    assert found["ram"].measure == Ram("float32")
    with pytest.raises(InvalidSetting, match="ram is limited for another file than the board's"):
        limits_from(["ram:int8=100K"], board=board)
    padded = limits_from(["ram=100K"], padding="same")
    assert padded[0].measure == Ram("int8", "same")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_limits_of_ram_and_flash_are_read_and_kept_as_data(precision: str) -> None:
    limits = limits_from([f"ram:{precision}=192KiB", f"flash:{precision}=1MiB"])
    assert [limit.most for limit in limits] == [196_608, 1_048_576]
    assert [Limit.from_dict(x.measure.name, x.to_dict()) for x in limits] == list(limits)
    with pytest.raises(InvalidSetting, match="ram of 'int4' is not known; write ram:int8 or float"):
        limits_from(["ram:int4=1K"])


def test_milliseconds_beside_a_board_are_said_to_be_those_of_this_machine() -> None:
    heard = Heard()
    board_of(SearchSettings(board="raspberry-pi-pico", max_cost=("latency=5ms",)), heard)
    assert heard.notices[1] == (
        "warning: milliseconds are those of this machine; nothing was timed on raspberry-pi-pico"
    )
    assert board_of(SearchSettings(), heard) is None


def test_milliseconds_of_this_machine_are_a_limit_that_is_timed(tmp_path: Path) -> None:
    file = tmp_path / "this.yaml"
    file.write_text("kind: board\nname: this\nhere: true\nruntime: eager\nmilliseconds: 20\n")
    limits = limits_from(["latency=30ms"], board=load_board(str(file)))
    assert [limit.text for limit in limits] == ["latency=20.0ms"]
    assert is_timed(GridSettings(board=str(file)))
    assert not is_timed(GridSettings(board="raspberry-pi-pico"))


def test_make_grows_to_what_grows_in_a_formula() -> None:
    MakeSettings(data="photos", max_cost=("macs=30M", "ram=200K"))
    with pytest.raises(InvalidSetting, match="ram does not grow in a formula; name macs or memory"):
        MakeSettings(data="photos", max_cost=("ram=200K",))


# Grid and family

LITE = Design(
    replace(autoscale.published("efficientnet-lite0"), resolution=64), rounding_policy("nearest")
)


def test_a_grid_leaves_out_what_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("kind: board\nname: b\nram: 560K\n")
    settings = GridSettings(budget="2x", step=0.1, board=str(tmp_path / "b.yaml"))
    race = GridRace.of(LITE, settings)
    limits = load_board(str(tmp_path / "b.yaml")).limits()
    assert race.field
    assert not [c for c in race.field if broken(limits, c.network)]
    assert "over 560,000 bytes of RAM" in race.limited.left_out
    with pytest.raises(InvalidSetting, match="limit it instead, as in --limit ram=200K"):
        GridRace.of(LITE, GridSettings(budget="ram=2x"))


def test_a_family_leaves_out_what_does_not_fit() -> None:
    up = autoscale.Growths(Coefficients(alpha=1.2, beta=1.1, gamma=1.15))
    family = autoscale.scale_family(LITE, up, phis=[-2, 0, 2], board="raspberry-pi-4")
    assert [member.name for member in family.members] == ["phi--2", "phi-0", "phi-2"]
    some = autoscale.scale_family(
        LITE, up, phis=[-2, 0, 2], board="raspberry-pi-4", max_cost=["ram=16M"]
    )
    assert [member.name for member in some.members] == ["phi--2"]
    assert "over 16,000,000 bytes of RAM" in some.left_out["phi-2"]
    with pytest.raises(BudgetUnreachable, match=r"nearest costs [\d,]+ bytes of flash and"):
        autoscale.scale_family(LITE, up, phis=[0, 1], board="raspberry-pi-pico")


def test_a_family_takes_a_board_as_a_search_does() -> None:
    assert FamilySettings(board="esp32-s3").arguments() == ["--board", "esp32-s3"]


# The spaces for devices


@given(st.integers(0, 10**6))
def test_every_design_of_lite_can_take_weights_over(seed: int) -> None:
    assert takes_over(space_named("lite").sample(random.Random(seed)))


def test_no_part_of_lite_is_of_another_kind_than_efficientnet_lite0() -> None:
    lite, space = autoscale.published("efficientnet-lite0"), load_space("lite")
    kinds = {(s.block, s.activation, s.se_ratio) for s in lite.stages}
    (variant,) = space.variants
    for choices in variant.stages:
        assert {(s.block, s.activation, s.se_ratio) for s in choices.parts()} <= kinds
    assert {stem.activation for stem in variant.stem.parts()} == {lite.stem.activation}
    assert {head.activation for head in variant.head.parts()} == {lite.head.activation}


def test_the_designs_of_mcu_have_one_activation_each_and_span_the_boards() -> None:
    space, rng = load_space("mcu"), random.Random(0)
    drawn = [space.sample(rng) for _ in range(200)]
    for design in drawn:
        found = {design.stem.activation, design.head.activation}
        assert found | {stage.activation for stage in design.stages} == found
        assert len(found) == 1
        assert space.architecture_at(space.point_of(design) or ()) == design
    pico = load_board("raspberry-pi-pico").limits()
    fitting = [design for design in drawn if broken(pico, design) is None]
    assert 50 < len(fitting) < 200


def test_an_activation_is_chosen_in_one_place() -> None:
    text = (
        "name: a\nresolution: 16\nactivation: [relu6, hswish]\nstem: {width: 8}\n"
        "stages: [{width: 8, activation: relu}]\n"
    )
    with pytest.raises(autoscale.AutoscaleError, match="for the whole network; leave it out of st"):
        SearchSpace.from_yaml(text)
    one = SearchSpace.from_yaml(text.replace(", activation: relu", ""))
    assert [parameter.name for parameter in one.parameters] == ["activation"]
    assert one.size == 2


def test_a_reserve_as_large_as_the_memory_leaves_nothing() -> None:
    with pytest.raises(InvalidSetting, match="lower the reserve"):
        Board(name="a", ram=1000, reserve=Reserve(ram=1000))
