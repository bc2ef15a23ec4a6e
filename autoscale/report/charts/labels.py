"""Labels where they cover least, each near the place that it names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot

from markupsafe import Markup

from autoscale.report.charts.svg import text

LETTER = 0.6  # average width of a letter / its size
OUTSIDE = 200.0  # how many covered units of area weigh as much as one unit outside


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, y pointing down."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, radius: float) -> "Box":
        """A square about a place."""
        return cls(x - radius, y - radius, x + radius, y + radius)

    def overlap(self, other: "Box") -> float:
        """Shared area."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)

    def beyond(self, area: "Box") -> float:
        """By how much it leaves an area, the sum over the four sides."""
        return (
            max(0.0, area.left - self.left)
            + max(0.0, self.right - area.right)
            + max(0.0, area.top - self.top)
            + max(0.0, self.bottom - area.bottom)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Words that belong to a place."""

    at: tuple[float, float]
    words: str
    kind: str  # class in the style sheet, after "label"
    size: float = 11.0  # of the letters, as the style sheet has it for this kind


def place_labels(labels: Sequence[Label], taken: Sequence[Box], area: Box) -> Iterator[Markup]:
    """Text elements that avoid `taken`, the edge of `area` and each other; the first choose first.

    A label that no place suits is drawn where it covers least.
    """
    full = list(taken)

    def covered(box: Box) -> float:
        return sum(box.overlap(other) for other in full) + OUTSIDE * box.beyond(area)

    for label in labels:
        best, anchor = min(_places(label), key=lambda place: covered(place[0]))
        full.append(best)
        x = {"start": best.left, "middle": (best.left + best.right) / 2, "end": best.right}[anchor]
        base = best.bottom - 0.25 * label.size
        yield text(x, base, label.words, kind=f"label {label.kind}", anchor=anchor)


def _places(label: Label) -> Iterator[tuple[Box, str]]:
    """Where a label may stand and how it is aligned, the best places first."""
    x, y = label.at
    width, height = LETTER * label.size * len(label.words), 1.2 * label.size
    for gap in (8, 16, 26):
        near, above, below = 0.7 * gap, y - 0.5 * gap - height, y + 0.5 * gap
        for left, top, anchor in (
            (x + gap, y - height / 2, "start"),
            (x - gap - width, y - height / 2, "end"),
            (x - width / 2, y - gap - height, "middle"),
            (x - width / 2, y + gap, "middle"),
            (x + near, below, "start"),
            (x - near - width, above, "end"),
            (x + near, above, "start"),
            (x - near - width, below, "end"),
        ):
            yield Box(left, top, left + width, top + height), anchor


def along(points: Sequence[tuple[float, float]], *, every: float = 8.0) -> Iterator[Box]:
    """Small boxes on a line through the points, so that labels keep off it."""
    for (x, y), (to_x, to_y) in pairwise(points):
        pieces = max(1, round(hypot(to_x - x, to_y - y) / every))
        for piece in range(pieces + 1):
            share = piece / pieces
            yield Box.around(x + share * (to_x - x), y + share * (to_y - y), 2)
