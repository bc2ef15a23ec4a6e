"""Which trainings are made to learn how the error falls: the points around a base."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from autoscale.errors import InvalidSetting

#: A network beside the base: half and twice its multiply-adds, by the network or by its pixels.
Size = Literal["base", "smaller", "larger", "fewer pixels", "more pixels"]
#: Training images of each class, on average, in the smallest subset.
PER_CLASS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A training that is repeated with several seeds."""

    images: int
    epochs: int
    size: Size = "base"


def points(
    images: int, epochs: int, *, classes: int, halvings: int, sizes: Collection[Size]
) -> tuple[Point, ...]:
    """The points around a base of so many images and epochs, the base first.

    The base with all images and with halves of halves of them; with half and twice the epochs, and
    with twice the epochs on the subsets, which tells different images from images seen often; and
    each other size with all images, the larger one with the fewest too.

    Args:
        halvings: how often the images are halved; at least 1.
        sizes: those that there are beside the base.

    Raises:
        InvalidSetting: if the smallest subset has fewer than `PER_CLASS` images a class.
    """
    counts = [images // 2**times for times in range(halvings + 1)]
    least = PER_CLASS * classes
    if counts[-1] < least:
        fitting = [times for times in range(1, halvings) if images // 2**times >= least]
        if fitting:
            way = f"give --halvings {fitting[-1]}, or add images up to {least * 2**halvings:,}"
        else:
            way = f"add images up to {least * 2**halvings:,}"
            way += f", or to {least * 2:,} for --halvings 1" if halvings > 1 else ""
        raise InvalidSetting(
            f"{images:,} training images halved {_times(halvings)} leave {counts[-1]}, and "
            f"{classes} classes need {least}, {PER_CLASS} each; {way}"
        )
    found = [Point(images=count, epochs=epochs) for count in counts]
    if epochs // 2:
        found.append(Point(images=images, epochs=epochs // 2))
    found += [Point(images=count, epochs=2 * epochs) for count in counts]
    found += [Point(images=images, epochs=epochs, size=size) for size in sizes if size != "base"]
    if "larger" in sizes:
        found.append(Point(images=counts[-1], epochs=epochs, size="larger"))
    return tuple(found)


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"
