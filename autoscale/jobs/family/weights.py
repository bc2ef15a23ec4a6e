"""Weights that the members of a family begin with, taken over from those of another design."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from autoscale.answering.answering import Answering
from autoscale.datasets.data import ImageData
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.grid.candidates import GROW, SHRINK, root_of
from autoscale.jobs.grid.judging import notes_on_start
from autoscale.jobs.grid.settings import FamilySettings
from autoscale.jobs.inheritance import Inheritance
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.start import Start
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Listener
from autoscale.network.build import build
from autoscale.runs.store import StepFolder, read_text
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.scaling.family import Member, UserMember, read_member
from autoscale.scaling.scalable import Scalable

#: How the provenance of these weights begins.
_UNTRAINED = "autoscale family, untrained: "


def weights_beside(member: Path) -> Path | None:
    """The weights that `autoscale family` wrote beside a member's file; None if it wrote none.

    Raises:
        InvalidSetting: if the file of that name cannot be read, or is of an earlier member, another
            design under the same name.
    """
    file = member.with_suffix(".safetensors")
    if not file.is_file():
        return None
    try:
        header = read_weights(file).header
    except InvalidSetting as problem:
        raise InvalidSetting(f"{problem}; or begin without it by --weights none") from None
    if not (header.provenance or "").startswith(_UNTRAINED):
        return None
    own = read_member(read_text(member), source=str(member))
    if isinstance(own, Member) and header.architecture != own.architecture.to_dict():
        raise InvalidSetting(
            f"{file} holds what an earlier {member.stem} began with, another design than "
            f"{member.name}: write the family again with --weights, or begin without by "
            "--weights none"
        )
    return file


def require_not_gone(member: Path, step: StepFolder) -> None:
    """Ask whether the weights beside a member, with which a training of it began, still lie there.

    Raises:
        RunConflict: if the step was begun with them and they do not.
    """
    begun, file = step.read(), member.with_suffix(".safetensors")
    if begun is None or file.exists() or begun["notes"].get("weights") != str(file.resolve()):
        return
    raise RunConflict(
        f"{file}, with which {step.path} was begun, is gone; restore it, say with --weights where "
        "it lies now, or choose another --run"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberWeights:
    """Writes the weights that members begin with."""

    start: Start  # with its weights read
    source: ImageSource  # of the images that they are fitted by

    @classmethod
    def of(
        cls, run: Path, settings: FamilySettings, base: Scalable, listener: Listener
    ) -> "MemberWeights | None":
        """What settings ask for; None if they name no weights.

        Raises:
            InvalidSetting: if the weights are none that members can take over, or nobody names
                images to fit them by.
        """
        if settings.weights is None:
            if begun := noted(run, "start"):
                listener.notice(
                    f"the run's networks began with weights of {begun}; --weights writes what "
                    "members begin with, too"
                )
            return None
        start = Start.for_many(settings).for_design(root_of(base))
        for note in notes_on_start(start, base):
            listener.notice(note)
        return cls(start=start, source=_images_of(run, settings, start))

    def write(
        self, members: Sequence[Member | UserMember], folder: StepFolder, listener: Listener
    ) -> list[Path]:
        """One file a member, beside its design; each as soon as it is made.

        The same run, weights and images give the same bits.

        Raises:
            DataProblem: if the images cannot be read.
            InvalidSetting: if they have another number of classes than the members.
        """
        designs = [member for member in members if isinstance(member, Member)]
        images = self._images(designs, listener)
        start, _ = self.start.for_images(images.train)
        ready = replace(self, start=start)
        inheritance = Inheritance(start, images, seed=self.source.seed)
        return [ready._written(member, inheritance, images, folder, listener) for member in designs]

    def _images(self, members: Sequence[Member], listener: Listener) -> ImageData:
        images = self.source.load(
            size=max(member.architecture.resolution for member in members),
            test=False,
            listener=listener,
            preparation=self.start.expected.preparation,
        )
        classes = members[0].architecture.num_classes
        if len(images.classes) != classes:
            raise InvalidSetting(
                f"the members tell {classes} classes apart, and {self.source.data} has "
                f"{len(images.classes)}; name other images with --data, or for a base of your own "
                f"--classes {len(images.classes)}"
            )
        return images

    def _written(
        self,
        member: Member,
        inheritance: Inheritance,
        images: ImageData,
        folder: StepFolder,
        listener: Listener,
    ) -> Path:
        expected = self.start.expected
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.source.seed)
            network = build(member.architecture, **expected.style.options)
        begun = inheritance.into(network, member.architecture)
        path = folder.file(f"{member.name}.safetensors")
        header = Header(
            architecture=member.architecture.to_dict(),
            style=expected.style,
            preparation=replace(expected.preparation, white_level=self.source.white_level),
            classes=images.classes,
            learned=tuple(inheritance.known_classes),
            seed=self.source.seed,
            group_by=self.source.group_by,
            seen=images.sketch,
            origin=expected.origin,
            licence=expected.licence,
            answering=Answering(several=True) if images.several else None,
            provenance=f"{_UNTRAINED}weights of {self.start.label} (SHA-256 "
            f"{self.start.digest}...) as far as they fit",
        )
        write_weights(path, network.state_dict(), header)
        listener.notice(
            f"{member.name}: {begun.inherited:.0%} of its parameters begin as those of "
            f"{self.start.label}"
        )
        return path


def _images_of(run: Path, settings: FamilySettings, start: Start) -> ImageSource:
    """Where the images lie: as asked, else those of the run's search or grid.

    Raises:
        InvalidSetting: if there are none.
    """
    white_level = start.expected.preparation.white_level
    place = settings.data or noted(run, "data")
    if place is None:
        raise InvalidSetting("no images to fit the weights by; name them with --data")
    record = _record(run)
    if record is None:
        return ImageSource(data=place, white_level=white_level)
    try:
        source = ImageSource.from_record(record["settings"], data=place)
    except (KeyError, TypeError) as problem:
        raise RunConflict(
            f"the settings of a step of {run} are damaged ({problem!r}); restore them from a copy "
            "or choose another --run"
        ) from None
    return source if settings.white_level is None else replace(source, white_level=white_level)


def images_for_training(run: Path, data: str | None) -> str:
    """Where the images lie on which members are trained: as asked, else those of the run's search
    or grid.

    Raises:
        InvalidSetting: if there are none.
    """
    place = data or noted(run, "data")
    if place is None:
        raise InvalidSetting("no images to train on; name them with --data")
    return place


#: What a run is asked of how images are cut, and of how they are prepared.
GROUPED = ("group_by",)
PREPARED = ("mean", "deviation", "interpolation", "area", "white_level")


def asked_of_images(run: Path, names: Sequence[str]) -> dict[str, Any]:
    """What the run's search or grid was asked under these names, as plain data."""
    record = _record(run) or {}
    asked = {**(record.get("notes") or {}), **(record.get("settings") or {})}
    # What binds a run is on record as it came to be, the rest as it was asked.
    asked |= {name: (record.get("notes") or {}).get(name) for name in PREPARED}
    return {name: asked[name] for name in names if asked.get(name) is not None}


def _record(run: Path) -> dict[str, dict[str, object]] | None:
    """What the run's search or grid recorded; None if it has neither."""
    records = (StepFolder(run, name).read() for name in (SEARCH, GROW, SHRINK))
    return next((record for record in records if record is not None), None)


def noted(run: Path, name: str) -> str | None:
    """What the run's search or grid noted under a name; None if nothing."""
    found = ((_record(run) or {}).get("notes") or {}).get(name)
    return found if isinstance(found, str) else None
