"""Pictures decoded once for several selections of them: all folds share the images of one pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoscale.datasets.pictures.decoding import Decoded
from autoscale.datasets.pictures.pictures import Pictures

Read = Callable[[Pictures], Decoded]


def pooled(pictures: Pictures, read: Read) -> tuple[Read, tuple[int, ...]]:
    """A reader of subsets of `pictures`, all of which are read now; others it reads as `read` does.

    Args:
        pictures: see `Pictures.placed`.

    Returns:
        The reader, whose images have no peaks, and the peaks of all: see `Decoded.peaks`.
    """
    whole = pictures.watched()
    found = read(whole)
    rows = np.full(len(whole), -1)
    readable = np.setdiff1d(np.arange(len(whole)), list(found.unread))
    rows[readable] = np.arange(len(readable))

    def of_subset(subset: Pictures) -> Decoded:
        if subset.places is None:
            return read(subset)
        places = subset.places.tolist()
        subset.digests.update(
            {i: whole.digests[place] for i, place in enumerate(places) if place in whole.digests}
        )
        own = rows[subset.places]
        own = own[own >= 0]
        return Decoded(
            found.pixels[own],
            {i: found.unread[place] for i, place in enumerate(places) if place in found.unread},
            tuple(found.shapes[row] for row in own) if found.shapes else (),
        )

    return of_subset, found.peaks
