"""Pictures of the same bytes where they do harm: in two classes, or in two parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from autoscale.datasets.labelling import are_several
from autoscale.datasets.pictures.pictures import Pictures

_SHOWN = 2  # pairs of names in a sentence


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Pairs of names of pictures that are the same."""

    classes: tuple[tuple[str, str], ...]  # with different labels: at most one label is right
    parts: Mapping[tuple[str, str], tuple[tuple[str, str], ...]]  # in both parts: what trains tests
    copies: tuple[tuple[str, str], ...] = ()  # of one class and one part: harmless until it is cut
    several: bool = False  # whether an image may have several labels

    @property
    def sentences(self) -> tuple[str, ...]:
        """What to say of them; nothing if there are none."""
        told = []
        if self.classes and self.several:
            told.append(
                f"{_counted(len(self.classes))} the same with other labels "
                f"({_pairs(self.classes)}); keep one of each, with all labels it has"
            )
        elif self.classes:
            told.append(
                f"{_counted(len(self.classes))} the same in two classes ({_pairs(self.classes)}); "
                "keep each in one class"
            )
        for (first, second), pairs in self.parts.items():
            told.append(
                f"{_counted(len(pairs))} the same in {first} and {second} ({_pairs(pairs)}); the "
                f"{second} accuracy flatters: keep one of each"
            )
        return tuple(told)

    @property
    def before_a_cut(self) -> tuple[str, ...]:
        """What to say of copies within a part that is still to be cut; nothing without any."""
        if not self.copies:
            return ()
        return (
            f"{_counted(len(self.copies))} the same as another of its class "
            f"({_pairs(self.copies)}), and the cut may put one into training and one into "
            "validation or test: keep one of each",
        )


def find_duplicates(parts: Mapping[str, Pictures]) -> Duplicates:
    """Equal pictures among those that were read and `watched`.

    Args:
        parts: by name, in the order of training, validation and test.
    """
    seen: Counter[bytes] = Counter()
    for pictures in parts.values():
        seen.update(pictures.digests.values())
    repeated = {digest for digest, times in seen.items() if times > 1}
    # Of each its part, its label or labels, and its name.
    places: dict[bytes, list[tuple[str, bytes, str]]] = defaultdict(list)
    for part, pictures in parts.items():
        for i in sorted(i for i, digest in pictures.digests.items() if digest in repeated):
            place = (part, pictures.labels[i].tobytes(), pictures.names[i])
            places[pictures.digests[i]].append(place)
    across: list[tuple[str, str]] = []
    copies: list[tuple[str, str]] = []
    between: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for found in places.values():
        first_of_class = list({label: name for _, label, name in reversed(found)}.values())[::-1]
        across += pairwise(first_of_class)
        first: dict[tuple[str, bytes], str] = {}
        for part, label, name in found:
            if (part, label) in first:
                copies.append((first[part, label], name))
            first.setdefault((part, label), name)
        first_of_part = list({part: name for part, _, name in reversed(found)}.items())[::-1]
        for (one, name), (other, again) in pairwise(first_of_part):
            between.setdefault((one, other), []).append((name, again))
    parted = {key: tuple(pairs) for key, pairs in between.items()}
    several = any(are_several(pictures.labels) for pictures in parts.values())
    return Duplicates(tuple(across), parted, tuple(copies), several)


def _counted(count: int) -> str:
    return "1 picture is" if count == 1 else f"{count:,} pictures are"


def _pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    shown = "; ".join(f"{one} = {other}" for one, other in pairs[:_SHOWN])
    return shown + "; ..." * (len(pairs) > _SHOWN)
