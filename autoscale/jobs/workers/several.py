"""What images that may have several labels change in how networks are trained and judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from autoscale.errors import InvalidSetting

if TYPE_CHECKING:
    from autoscale.jobs.workers.proxy import Proxy


def suited_to_several(proxy: Proxy) -> Proxy:
    """The same for images that may have several labels: judged by mAP in place of accuracy.

    Raises:
        InvalidSetting: if something is asked that goes with one label an image alone.
    """
    if proxy.transfer.lessons is not None:
        raise InvalidSetting(
            "a teacher's answers are of one class for each image, and these may have several "
            "labels; leave --teacher out"
        )
    if proxy.dtype != "float32":
        raise InvalidSetting(
            f"networks in {proxy.dtype} are judged by accuracy, and these images may have several "
            "labels; leave --dtype out"
        )
    proxy.balance.require_several()
    return replace(
        proxy,
        chosen=proxy.chosen.suited(several=True),
        recipe=replace(proxy.recipe, label_smoothing=0.0),
    )


def several_notes(ready: Proxy, asked: Proxy) -> Iterator[str]:
    """What networks are judged by and trained without, in sentences; nothing of one label each.

    Args:
        ready: with its images.
        asked: before it was suited to them.
    """
    if not ready.images.several:
        return
    assert ready.metric is not None, "such images are not judged by accuracy"
    yield (
        f"images may have several labels: networks are judged by {ready.metric.label} "
        f"({ready.chosen.name}), and accuracy beside it is the share of images of which all labels "
        "are right at probabilities of 0.5"
    )
    if ready.recipe.label_smoothing != asked.recipe.label_smoothing:
        yield (
            "images may have several labels: the recipe's label smoothing of "
            f"{asked.recipe.label_smoothing:g} is left out"
        )
    if ready.recipe.head_first and ready.inheritance is not None:
        yield (
            "images may have several labels: a new classifier is trained with the rest of the "
            "network, and not fitted first"
        )


def require_single(proxy: Proxy, what: str) -> None:
    """Refuse images that may have several labels, for what is of one class each.

    Args:
        what: does not take them, as a sentence begins.

    Raises:
        InvalidSetting: for such.
    """
    if proxy.images.several:
        raise InvalidSetting(
            f"{what} is of images with one label each, and those of {proxy.source.data} may have "
            "several; give one of their labels as the class of each (a list's column, ?label=kind)"
        )
