"""From a design uphill, by a few changed choices at a time."""

from collections.abc import Callable, Sequence

import numpy as np

from autoscale.search.designs import Designs, Point

_AT_ONCE = 7  # parameters whose changes are compared before the best of them is made


def ascend(
    designs: Designs,
    start: Point,
    merit: Callable[[Sequence[Point]], np.ndarray],
    allowed: Callable[[Sequence[Point]], list[Point]],
    rng: np.random.Generator,
    *,
    rounds: int = 20,
) -> Point:
    """The design from which no single change that is `allowed` leads further up, or the one that
    was reached when every parameter had been looked at `rounds` times.

    Args:
        merit: a number for each design, the same whenever it is asked.
    """
    free = [place for place, size in enumerate(designs.sizes) if size > 1]
    # Choices that the start does not have are drawn, as other choices may bring them up.
    point = designs.mutated(start, rng, 0)
    best = float(merit([point])[0])
    parts = -(-len(free) // _AT_ONCE)
    idle = 0
    for _ in range(rounds):
        order = rng.permutation(free).tolist()
        for part in range(parts):
            near = allowed(
                [
                    (*point[:place], level, *point[place + 1 :])
                    for place in order[part::parts]
                    for level in range(designs.sizes[place])
                    if level != point[place]
                ]
            )
            merits = merit(near) if near else np.zeros(0)
            if len(near) and merits.max() > best:
                top = int(merits.argmax())
                point, best, idle = near[top], float(merits[top]), 0
            else:
                idle += 1
            if idle >= parts:
                return point
    return point
