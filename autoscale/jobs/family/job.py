"""Apply base and coefficients to any size or budget."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from autoscale.design.rounding import PAPER
from autoscale.devices.board import Board
from autoscale.errors import InvalidSetting
from autoscale.jobs.costs import hold_to_board, limits_from
from autoscale.jobs.family.kept import STEP, keep
from autoscale.jobs.family.scale import Family, scale_family
from autoscale.jobs.family.weights import MemberWeights
from autoscale.jobs.grid.job import load_grid
from autoscale.jobs.grid.scaling_base import board_after_search, scalable_of
from autoscale.jobs.grid.settings import FamilySettings
from autoscale.jobs.grid.stopwatch import dtype_before, kept_timings, runtime_before
from autoscale.jobs.groups.networks import ScalingBaseSettings
from autoscale.listener import Listener, Silent
from autoscale.runs.store import StepFolder
from autoscale.scaling.family import Growths, parse_phis
from autoscale.scaling.limited import Timer
from autoscale.scaling.scalable import Scalable
from autoscale.settings.function import takes_settings


@takes_settings(FamilySettings, gone={"base": ScalingBaseSettings})
def write_family(
    run: str | Path, settings: FamilySettings, *, listener: Listener | None = None
) -> Family:
    """Scale a base by its coefficients and write one YAML file a member.

    Files go to the run's `family` folder, beside the members of earlier calls; `family.csv` lists
    all of them. One of these that this call asks for too, and leaves out since it breaks a limit,
    belongs to the family no more: its file is removed, and this is told. Base and coefficients are
    those of the run's grids: of its grid below 1x for smaller members where there is one, else the
    others turned round. Where such a grid came later than the family, all members are written anew.

    With `weights`, a file beside each member of this call holds what it begins with when it is
    trained: the weights as far as they fit, fitted by training images.

    Args:
        run: the run directory.
        listener: told of progress; by default nobody.

    Returns:
        The members of this call.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    run, listener = Path(run), listener or Silent()
    base, growths = _base_and_growths(run, settings)
    board = board_after_search(run, settings, listener)
    _tell_of(growths, run, settings, listener)
    with _timer(run, base, settings, board, listener) as timer:
        scaled = partial(
            scale_family,
            base,
            growths,
            max_cost=settings.max_cost,
            board=settings.board,
            timer=timer,
        )
        family = scaled(
            phis=parse_phis(settings.phi) if settings.phi is not None else (),
            budgets=settings.budgets.split(",") if settings.budgets is not None else (),
            measure=settings.measure,
        )
        for line in (*family.left_out.values(), *family.stalls):
            listener.notice(f"warning: {line}")
        weights = MemberWeights.of(run, settings, base, listener)
        folder = StepFolder(run, STEP)
        with folder.locked():
            keep(family, scaled, settings, folder, listener)
            if weights is not None:
                weights.write(family.members, folder, listener)
    return family


@contextmanager
def _timer(
    run: Path, base: Scalable, settings: FamilySettings, board: Board | None, listener: Listener
) -> Iterator[Timer | None]:
    """What times members, if their latency is limited.

    Raises:
        InvalidSetting: for what cannot be timed, or a runtime or numbers that nothing is timed in.
    """
    limits = limits_from(settings.max_cost, board=board)
    timed = not all(limit.measure.counted for limit in limits)
    if not timed and settings.dtype is not None:
        raise InvalidSetting(
            f"--dtype {settings.dtype} says in which numbers latency is measured, and none is "
            "limited; add --limit latency=12ms, or leave --dtype out"
        )
    limited = None if board is None or board.milliseconds is None else board
    own = None if limited is None else limited.dtype
    dtype = settings.dtype or own or dtype_before(run) or "float32"
    hold_to_board(limited, dtype, listener)
    settings = settings.timed_in_runtime(runtime_before(run, board), dtype, timed=timed)
    if not timed:
        yield None
        return
    asked = settings.timing(dtype, "cpu")
    with kept_timings(run, base, asked, settings, listener, beside=True) as watch:
        yield watch


def _tell_of(growths: Growths, run: Path, settings: FamilySettings, listener: Listener) -> None:
    """Say which way of a family's growing is not known."""
    if growths.up is growths.down:
        listener.notice(
            "warning: there is no grid above 1x; larger members grow by the coefficients found "
            "for shrinking"
        )
    elif growths.down is None and _asks_for_smaller(settings.phi or ""):
        listener.notice(
            "smaller members turn the coefficients for growing round; the best way to shrink may "
            f"be another one: autoscale grid --run {run} --flops-budget 0.5x finds it"
        )


def _base_and_growths(run: Path, settings: FamilySettings) -> tuple[Scalable, Growths]:
    """What is scaled and how it grows: the run's grids say it, or the settings do.

    Raises:
        InvalidSetting: if both do, or neither.
    """
    point, classes = settings.coefficients, settings.num_classes
    if classes is not None and (point is None or not settings.named):
        raise InvalidSetting(
            f"the run has decided the classes, asked for {classes}; leave --classes out, or "
            "name a base and --coefficients"
        )
    if point is not None:
        return scalable_of(settings, run, num_classes=classes), Growths(point)
    if settings.baseline is not None:
        raise InvalidSetting(
            "a base that no grid was made for needs coefficients; give --coefficients "
            f"{PAPER.alpha:g},{PAPER.beta:g},{PAPER.gamma:g} (the paper's), or make a grid"
        )
    base, growths = load_grid(run, model=settings.model)
    for name in ("resolution", "rounding"):
        if getattr(settings, name) is not None:
            raise InvalidSetting(
                f"the grid in {run} has decided --{name}; leave it out, or give --coefficients"
            )
    return base, growths


def _asks_for_smaller(phi: str) -> bool:
    return phi.startswith("-") or ",-" in phi
