"""The job of `autoscale cut`: a network out of a family that was trained in one set of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoscale.answering.answering import Answering
from autoscale.design.cost import cost
from autoscale.design.measures.limits import all_of
from autoscale.design.style import Style
from autoscale.errors import BudgetUnreachable, DataProblem, InvalidSetting, RunConflict
from autoscale.jobs.costs import board_of, limits_from
from autoscale.jobs.nested.members import NestedFamily
from autoscale.jobs.nested.result import STEP, MemberResult, read_members
from autoscale.jobs.nested.settings import CutSettings
from autoscale.jobs.nested.slicing import sliced
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Listener, Silent
from autoscale.network.threads import threads_of_torch
from autoscale.runs.store import StepFolder
from autoscale.runs.weights import Header, Weights, read_weights, write_weights
from autoscale.scaling.limited import Limited
from autoscale.scaling.nesting import NestedMember
from autoscale.settings.function import takes_settings
from autoscale.training.recipe import Recipe
from autoscale.training.task import Runtime, TrainingTask


@dataclass(frozen=True, slots=True, kw_only=True)
class CutNetwork:
    """A network that was cut out of a family."""

    name: str
    phi: float
    pixels: int  # per side
    macs: int
    params: int
    trained: MemberResult | None  # how good it is, of a member of a finished training
    member: bool  # whether it is one of those that are trained
    weights: Path  # the file


@takes_settings(CutSettings)
def cut(run: str | Path, settings: CutSettings, *, listener: Listener | None = None) -> CutNetwork:
    """Write a network out of the weights of a family that was trained together.

    A member by its name, or the largest design along the family's rule that keeps the limits and
    is part of the largest member. Nothing is trained: its batch norms' statistics are estimated by
    some training images. The file says its design, classes and preparation, as that of any other
    training does.

    Args:
        run: the run directory, in which `train-family` trained.
        listener: told what a person should know; by default nobody.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    run, listener = Path(run), listener or Silent()
    step = StepFolder(run, STEP)
    record, file = step.read(), step.file("best.safetensors")
    if record is None or not file.exists():
        raise InvalidSetting(
            f"{run} holds no family that was trained together; begin with: autoscale train-family "
            f"--run {run}"
        )
    output = _output(settings, step)
    family = NestedFamily.from_record(step)
    results = read_members(step)
    if results is None:
        listener.notice(
            "warning: the training is not finished; this is cut out of its best epoch so far"
        )
    held = read_weights(file)
    if held.header.architecture != family.largest.architecture.to_dict():
        raise RunConflict(
            f"{file} does not hold {family.largest.name}, out of which the others are cut; restore "
            "it from a copy, or train the family again in another --run"
        )
    style = held.header.style or Style()
    chosen = _chosen(family, settings, style, listener)
    with threads_of_torch(record["notes"].get("threads", 1)):
        resolution = chosen.architecture.resolution
        task = _task(record, held, settings.data, listener, resolution=resolution)
        network = sliced(
            held.state,
            chosen.architecture,
            outer=family.largest.architecture,
            style=style,
            task=task,
            runtime=Runtime(),
        )
    known = next((one for one in results or () if one.name == chosen.name), None)
    output = output or step.file(f"{chosen.name}.safetensors")
    header = replace(
        held.header,
        architecture=chosen.architecture.to_dict(),
        accuracy=None if known is None else known.validation_accuracy,
        accuracy_of=held.header.accuracy_of if known is not None else None,
        # The thresholds are the largest's, and so is the score of a metric.
        metric=None,
        score=None,
        answering=_answering(held.header),
        provenance=f"autoscale cut, {chosen.name} out of {held.header.provenance}",
    )
    write_weights(output, network.state_dict(), header)
    counted = cost(chosen.architecture)
    return CutNetwork(
        name=chosen.name,
        phi=chosen.phi,
        pixels=chosen.architecture.resolution,
        macs=counted.macs,
        params=counted.params,
        trained=known,
        member=chosen in family.members,
        weights=output,
    )


def _answering(header: Header) -> Answering | None:
    """How a member's logits become an answer: without what was chosen for the largest's."""
    several = header.answering is not None and header.answering.several
    return Answering(several=True) if several else None


def _output(settings: CutSettings, step: StepFolder) -> Path | None:
    """Where the network is to be written; None for a file of its own in the run.

    Raises:
        InvalidSetting: if that is a folder, or the family's own weights.
    """
    output = settings.output
    if output is None:
        return None
    if output.is_dir():
        raise InvalidSetting(f"{output} is a folder; name a file in it, such as cut.safetensors")
    if output.resolve() in {step.file(f"{n}.safetensors").resolve() for n in ("best", "last")}:
        raise InvalidSetting(
            f"{output} holds the weights of the whole family; write to another --output"
        )
    return output


def _chosen(
    family: NestedFamily, settings: CutSettings, style: Style, listener: Listener
) -> NestedMember:
    """The member that is named, or the largest design that keeps the limits.

    Raises:
        BudgetUnreachable: if not even the smallest keeps them.
        InvalidSetting: for a limit on what is measured on a device, or an unknown member.
    """
    if settings.member is not None:
        return family.named(settings.member)
    board = board_of(settings, listener)
    limits = limits_from(settings.max_cost, board=board, padding=style.padding)
    if measured := [limit.measure.name for limit in limits if not limit.measure.counted]:
        raise InvalidSetting(
            f"{measured[0]} is measured on a device, and a network is cut by what can be counted; "
            "limit macs instead, or name a member with --member"
        )
    limited, smallest = Limited(limits), None
    for member in family.on_the_rule:
        smallest = member
        if limited([member.architecture])[0]:
            return member
    assert smallest is not None
    raise BudgetUnreachable(
        f"no design of the family costs at most {all_of([limit.exactly for limit in limits])}; "
        f"the smallest, {smallest.name}, costs {limited.excess(smallest.architecture)}; raise the "
        "limit, or train a family with smaller members"
    )


def _task(
    record: Mapping[str, Any],
    held: Weights,
    data: str | None,
    listener: Listener,
    *,
    resolution: int,
) -> TrainingTask:
    """What a member of the family was trained on that has this resolution.

    Raises:
        DataProblem: if the images cannot be read, or are others.
        RunConflict: if the record is damaged.
    """
    settings = record["settings"]
    preparation = held.header.preparation
    try:
        place = data or record["notes"]["data"]
        source = ImageSource.from_record(settings, data=place)
        recipe = Recipe(**settings["recipe"])
        fingerprint = settings["images"]
    except (KeyError, TypeError) as problem:
        raise RunConflict(
            f"the settings of {STEP} are damaged ({problem!r}); restore them from a copy or choose "
            "another --run"
        ) from None
    assert preparation is not None, "the training wrote it"
    images = source.load(size=resolution, test=False, listener=Silent(), preparation=preparation)
    if images.fingerprint != fingerprint:
        raise DataProblem(
            f"the images in {place} are not those that the family was trained on; restore them, or "
            "name their place with --data"
        )
    for line in images.notices:
        listener.notice(f"warning: {line}")
    return TrainingTask(
        train=images.train,
        validation=images.validation,
        recipe=recipe,
        resolution=resolution,
        seed=source.seed,
        preparation=preparation,
    )
