"""What a search may know from another one: of the same or a kindred space, on whatever images."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autoscale.errors import InvalidSetting
from autoscale.search.designs import Designs, Params, Point
from autoscale.search.model.predictor import FittedModel, Predictor

#: Different designs below which an earlier search says nothing.
LEAST = 8


@dataclass(frozen=True, eq=False)
class EarlierSearch:
    """A view of designs: what a model of another search's scores predicts of them.

    Accuracies on other images or at another resolution are on another scale, so only how the
    predictions compare is of use. How far they can be trusted is learnt from the new search's own
    scores: they are one part of the sum of its model, with an amplitude of its own. Source of the
    idea: Feurer et al. 2018 (RGPE), who weigh the models of earlier searches by how well they rank.

    Args:
        name: how messages call it.
        params: parameters of its scored designs, with the names of the new search's; a number that
            the new space does not have counts as the nearest one that it has.
        scores: more being better.
    """

    name: str
    params: Sequence[Params]
    scores: Sequence[float]
    # Of the designs that were asked about last; keys are those of `id`.
    _models: dict[int, tuple[Designs, FittedModel]] = field(default_factory=dict, repr=False)

    def of(self, designs: Designs, points: Sequence[Point]) -> np.ndarray:
        """The mean that is predicted of each design, warped as the scores ask for."""
        return designs.remembered(
            self, points, lambda new: self._model(designs).predict(new).mean.tolist()
        )

    def translated(self, designs: Designs) -> tuple[list[Point], np.ndarray]:
        """Its designs as those of another search, and their scores; the others are left out."""
        pairs = [
            (point, score)
            for params, score in zip(self.params, self.scores, strict=True)
            if (point := designs.nearest(params)) is not None
        ]
        return [point for point, _ in pairs], np.array([score for _, score in pairs])

    def _model(self, designs: Designs) -> FittedModel:
        if id(designs) not in self._models:
            points, scores = self.translated(designs)
            different = len({designs.identity(point) for point in points})
            if different < LEAST:
                raise InvalidSetting(
                    f"{self.name} has {different} scored designs that this space can tell apart; "
                    f"at least {LEAST} are needed to learn from it"
                )
            self._models.clear()
            self._models[id(designs)] = (designs, Predictor(designs).learn(points, scores))
        return self._models[id(designs)][1]
