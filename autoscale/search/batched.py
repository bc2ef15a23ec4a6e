"""What users say of designs before any training: one design at a time, or many at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoscale.errors import InvalidSetting

#: What a callable of the user's is asked about: the architecture where the samplers know the
#: search space, else the parameters.
Design = Any
Measure = Callable[[Design], float]


@dataclass(frozen=True)
class Batched:
    """A cost or an excess of designs that is worked out for many at once.

    It may stand wherever a callable of one design may. Candidates are asked about in rounds, all at
    once that are new; only the first designs of a study, which are drawn one after the other until
    one keeps the limits, come alone.

    Args:
        ask: from designs, all different, to one number for each.
    """

    ask: Callable[[Sequence[Design]], Sequence[float] | np.ndarray]

    def __call__(self, design: Design) -> float:
        return self.of([design])[0]

    def of(self, designs: Sequence[Design]) -> list[float]:
        """The numbers of `designs`.

        Raises:
            InvalidSetting: if there is not one number for each.
        """
        found = np.asarray(self.ask(designs), dtype=float)
        if found.shape != (len(designs),):
            raise InvalidSetting(
                f"a batched cost was asked about {len(designs)} designs and answered with "
                f"shape {found.shape}; it must give one number for each"
            )
        return found.tolist()
