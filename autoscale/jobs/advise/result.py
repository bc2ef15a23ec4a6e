"""What trainings around a network came to, and what follows for efforts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from autoscale.advice.efforts import LEVEL, Advice, ClassGain
from autoscale.advice.verdict import class_sentence, sentences
from autoscale.metrics.names import Quality, quality_of
from autoscale.runs.store import StepFolder

if TYPE_CHECKING:
    import pandas as pd

STEP = "learning-curves"
RESULT = "advice.json"
TRAININGS = "trainings.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The trainings of one kind."""

    size: str  # of `advice.design.Size`
    images: int
    epochs: int
    pixels: int  # per side
    macs: int  # multiply-adds of one image
    scores: tuple[float, ...]  # what networks are judged by, one a seed that succeeded


@dataclass(frozen=True, kw_only=True, eq=False)
class Advised:
    """What efforts are believed to buy for one network of a run."""

    name: str  # of the network
    metric: str  # by its name
    trained: tuple[Trained, ...]  # every kind of training, the base's first
    failed: int
    advice: Advice
    classes: tuple[ClassGain, ...]  # of the effort in images

    @property
    def quality(self) -> Quality:
        """What gains are shares of."""
        return quality_of(self.metric)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the figures allow to say."""
        found = sentences(self.advice, quality=self.quality.label)
        words = next(g.effort.words for g in self.advice.gains if g.effort.key == "images")
        of_classes = class_sentence(self.classes, words)
        return found if of_classes is None else (*found, of_classes)

    @property
    def table(self) -> pd.DataFrame:
        """One row an effort, as `gains_table` has them."""
        return gains_table(self.to_dict()["gains"])

    @property
    def class_table(self) -> pd.DataFrame:
        """One row a class, those that gain most from images first.

        Columns: class; validation_images; recall (of the network itself); gain (of the effort in
        images), low and high (its interval at 90 %), missing where nothing is said of a class.
        """
        import pandas as pd

        numbers = ("recall", "gain", "low", "high")
        names = ("class", "validation_images", *numbers)
        rows = pd.DataFrame([one.to_dict() for one in self.classes], columns=names)
        return rows.astype(dict.fromkeys(numbers, float)).sort_values(
            "gain", ascending=False, kind="stable"
        )

    @property
    def trainings(self) -> pd.DataFrame:
        """One row a kind of training, as `trained_table` has them."""
        return trained_table([asdict(one) for one in self.trained], self.quality)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        advice = self.advice
        error = advice.base_error
        return {
            "network": self.name,
            "metric": self.metric,
            "base": asdict(advice.base),
            "base_error": None if error is None else asdict(error),
            "seed_noise": advice.noise,
            "powers": {name: asdict(power) for name, power in advice.powers.items()},
            "level": LEVEL,
            "trainings": advice.trainings,
            "failed": self.failed,
            "trained": [asdict(one) for one in self.trained],
            "gains": [gain.to_dict() for gain in advice.gains],
            "classes": [one.to_dict() for one in self.classes],
            "sentences": list(self.sentences),
        }


def gains_table(gains: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row an effort.

    Columns: effort (in words); gain (share, added to what networks are judged by), low and high
    (its interval at 90 %); chance_best; tells (whether the interval leaves 0 out).

    Args:
        gains: as `Gain.to_dict` gives them.
    """
    import pandas as pd

    names = ("gain", "low", "high", "chance_best", "tells")
    rows = [{"effort": one["words"], **{name: one[name] for name in names}} for one in gains]
    return pd.DataFrame(rows).astype(dict.fromkeys(names[:4], float))


def trained_table(trained: Sequence[Mapping[str, Any]], quality: Quality) -> pd.DataFrame:
    """One row a kind of training.

    Columns: size, images, epochs, pixels, macs, seeds (that succeeded), and the mean of what
    networks are judged by under its own name; missing where no training succeeded.

    Args:
        trained: fields of `Trained`.
    """
    import pandas as pd

    names = ("size", "images", "epochs", "pixels", "macs")
    rows = [
        {
            **{name: one[name] for name in names},
            "seeds": len(one["scores"]),
            quality.column: sum(one["scores"]) / len(one["scores"]) if one["scores"] else None,
        }
        for one in trained
    ]
    return pd.DataFrame(rows).astype({quality.column: float})


def read_advice(step: StepFolder) -> dict[str, Any] | None:
    """The advice that a run holds, as plain data; None if it has none.

    Raises:
        RunConflict: if the file is damaged.
    """
    return step.read_result(RESULT)
