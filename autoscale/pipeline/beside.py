"""The published network whose weights a run begins with: teacher of what is made, and its rival."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.training import TeacherSettings
from autoscale.jobs.inheritance import is_cut
from autoscale.jobs.reference.network import find_references
from autoscale.jobs.reference.settings import ReferenceSettings
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.workers.estimate import pace
from autoscale.jobs.workers.proxy import Proxy
from autoscale.listener import Silent
from autoscale.pipeline.plan import CROPS
from autoscale.pipeline.settings import MakeSettings
from autoscale.pipeline.source import Beginning

#: Pixels per side that a teacher sees at least, unless its own are fewer.
_PIXELS = 128


def published(settings: MakeSettings, began: Beginning) -> str | None:
    """The source of the weights, where it says by itself whose they are and what they expect."""
    return None if settings.said_beside_weights else began.source


def require_teacher(settings: MakeSettings, began: Beginning) -> None:
    """
    Raises:
        InvalidSetting: if the weights' own network cannot teach, or has nothing to tell.
    """
    if began.source is None:
        raise InvalidSetting(
            "--teach needs weights whose network teaches; name some with --weights"
        )
    if said := settings.said_beside_weights:
        raise InvalidSetting(
            f"--teach and --{said[0].replace('_', '-')}: a teacher's file must say this itself; "
            "autoscale export NETWORK --weights FILE writes one that does"
        )
    if not is_cut(began.start, began.architecture):
        raise InvalidSetting(
            f"the limits leave most of {began.name}, which so has little to teach; leave --teach "
            "out, or lower a limit"
        )


def teaching(began: Beginning, design: Architecture) -> dict[str, Any]:
    """The settings of a training of a design that its weights' own network teaches."""
    assert began.source is not None
    assert began.start.origin is not None
    own = began.start.origin.architecture.resolution
    side = min(own, max(_PIXELS, design.resolution))
    return {"teacher": began.source, "teacher_crops": CROPS, "teacher_resolution": side}


def teaching_seconds(began: Beginning, proxy: Proxy, design: Architecture) -> float:
    """Seconds that the answers to what a training asks take.

    Args:
        proxy: with the images and the recipe of the training.

    Raises:
        InvalidSetting: if the teacher can tell nothing of the images.
    """
    settings = TeacherSettings(**teaching(began, design))
    lessons = Lessons.of(settings, device=proxy.device, threads=proxy.threads)
    assert lessons is not None
    lessons = lessons.for_aspect(design.aspect)
    lessons.require_classes(proxy.images.classes)
    return replace(proxy, transfer=replace(proxy.transfer, lessons=lessons)).teacher_seconds


def rival_seconds(
    settings: MakeSettings, began: Beginning, judge: Proxy, design: Architecture
) -> float | None:
    """Seconds of one epoch of the weights' own network, as `--rival` trains it beside a design.

    None without published weights, and where those do not say what a rival's must.

    Args:
        judge: of the design, with its images.
    """
    source = published(settings, began)
    if source is None:
        return None
    try:
        (rival,) = find_references(
            ReferenceSettings(reference=(source,)),
            resolution=design.resolution,
            aspect=design.aspect,
            classes=design.num_classes,
            listener=Silent(),
        )
    except InvalidSetting:
        return None
    proxy = rival.proxy(judge, epochs=1).load(size=rival.architecture.resolution)
    found = pace(proxy, rival.architecture)
    return found.begin + found.epoch + found.evaluation
