"""Which shapes pictures have, and what squares in their middle leave out of them."""

from collections import Counter
from collections.abc import Sequence
from math import log
from statistics import mean

from autoscale.aspect import SQUARE, Aspect, ImageSize, written

#: What cameras, screens and panoramas have, lying and standing, up to what `--aspect` takes.
_LYING = (
    SQUARE, Aspect(5, 4), Aspect(4, 3), Aspect(3, 2), Aspect(16, 9),
    *(Aspect(width) for width in (2, 3, 4, 6, 8)),
)  # fmt: skip
ASPECTS = (*_LYING, *(1 / aspect for aspect in _LYING[1:]))
#: Of a picture, what is not worth a word.
_LITTLE = 0.05
#: What an aspect is to show of pictures to be worth asking for.
_WORTH_IT = 0.5


def shapes_in_words(shapes: Sequence[ImageSize], aspect: Aspect = SQUARE) -> tuple[str, str]:
    """What is to be said of the shapes of pictures, and the way out; "" where there is none.

    Args:
        shapes: of at least one picture, upright.
        aspect: of what networks are to see of them.
    """
    usual, count = Counter(map(_nearest, shapes)).most_common(1)[0]
    named = f"{usual.numerator}:{usual.denominator}"
    if usual in (max(ASPECTS), min(ASPECTS)):
        named += " or wider" if usual > SQUARE else " or narrower"
    share = "all" if count == len(shapes) else f"{count / len(shapes):.0%} of"
    told = f"{share} pictures are about {named}"
    left_out = 1 - mean(_shown(shape, aspect) for shape in shapes)
    parts = "squares" if aspect == SQUARE else f"parts of aspect {written(aspect)}"
    if left_out < _LITTLE:
        return f"{told}; {parts} leave out hardly anything", ""
    found = f"{told}; {parts} in their middle leave out {left_out:.0%} of them"
    shown = mean(_shown(shape, usual) for shape in shapes)
    if usual in (SQUARE, aspect) or shown < max(1 - left_out, _WORTH_IT):
        return found, "--area padded or squashed shows all of them"
    return found, f"--aspect {written(usual)} shows {shown:.0%} of them"


def _nearest(shape: ImageSize) -> Aspect:
    """Of the usual aspects that of a picture, by the ratio of the two."""
    return min(ASPECTS, key=lambda aspect: abs(log(shape.width / shape.height / aspect)))


def _shown(shape: ImageSize, aspect: Aspect) -> float:
    """Of a picture, the share that the largest part of an aspect in its middle is."""
    share = shape.width / (shape.height * aspect)
    return float(min(share, 1 / share))
