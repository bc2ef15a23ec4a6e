"""What a network says of images that may have several labels, label by label."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from autoscale.metrics.predictions import Predictions
from autoscale.metrics.several import MeanAveragePrecision

COLUMNS = (
    "class", "images", "predicted", "precision", "recall", "f1", "average_precision", "threshold",
)  # fmt: skip


def by_label(names: Sequence[str], predictions: Predictions) -> pd.DataFrame:
    """One row a label, with `COLUMNS`: how many images have it, of how many it is said.

    A share whose denominator is 0 is missing.
    """
    said, own = predictions.said, predictions.labels > 0
    thresholds = predictions.thresholds
    precise = MeanAveragePrecision().by_class(predictions)
    rows = []
    for place, name in enumerate(names):
        hits = int((said[:, place] & own[:, place]).sum())
        images, predicted = int(own[:, place].sum()), int(said[:, place].sum())
        rows.append(
            {
                "class": name,
                "images": images,
                "predicted": predicted,
                "precision": hits / predicted if predicted else None,
                "recall": hits / images if images else None,
                "f1": 2 * hits / (images + predicted) if images + predicted else None,
                "average_precision": None if np.isnan(precise[place]) else float(precise[place]),
                "threshold": 0.5 if thresholds is None else float(thresholds[place]),
            }
        )
    shares = dict.fromkeys(COLUMNS[3:], float)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(shares)
