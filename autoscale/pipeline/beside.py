"""The published network whose weights a run begins with: teacher of what is made, and its rival."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.training import TeacherSettings
from autoscale.jobs.reference.network import find_references
from autoscale.jobs.reference.settings import ReferenceSettings
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.workers.estimate import pace
from autoscale.jobs.workers.proxy import Proxy
from autoscale.listener import Silent
from autoscale.pipeline.plan import CROPS
from autoscale.pipeline.settings import MakeSettings
from autoscale.pipeline.source import Beginning
from autoscale.training.recipe import CUT

#: Pixels per side that a teacher sees at least, unless its own are fewer.
_PIXELS = 128


def published(settings: MakeSettings, began: Beginning) -> str | None:
    """The source of the weights, where it says by itself whose they are and what they expect."""
    return None if settings.said_beside_weights else began.source


def teaching(settings: MakeSettings, began: Beginning, design: Architecture) -> dict[str, Any]:
    """The settings of a training of a design that its weights' own network teaches.

    Empty without published weights, and where the design keeps most of that network: then it has
    little to tell.
    """
    source, origin = published(settings, began), began.start.origin
    if source is None or origin is None:
        return {}
    own = origin.architecture
    left = cost(design).macs / cost(replace(own, resolution=design.resolution)).macs
    if left >= CUT:
        return {}
    side = min(own.resolution, max(_PIXELS, design.resolution))
    return {"teacher": source, "teacher_crops": CROPS, "teacher_resolution": side}


def teaching_seconds(asked: dict[str, Any], proxy: Proxy) -> float | None:
    """Seconds that a teacher's answers take; None where it can tell nothing of the images.

    Args:
        asked: what `teaching` gave.
        proxy: with the images and the recipe of the training.
    """
    if not asked:
        return None
    settings = TeacherSettings(**asked)
    try:
        lessons = Lessons.of(settings, device=proxy.device, threads=proxy.threads)
        assert lessons is not None
        lessons.require_classes(proxy.images.classes)
    except InvalidSetting:
        return None
    taught = replace(proxy, transfer=replace(proxy.transfer, lessons=lessons))
    return taught.teacher_seconds


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
            classes=design.num_classes,
            listener=Silent(),
        )
    except InvalidSetting:
        return None
    proxy = rival.proxy(judge, epochs=1).load(size=rival.architecture.resolution)
    found = pace(proxy, rival.architecture)
    return found.begin + found.epoch + found.evaluation
