"""Are a trained network's probabilities right, and does it refuse pictures of other things?

    OMP_NUM_THREADS=1 python experiments/answers/answers.py DATA OTHERS ROWS.csv IMAGES.csv

DATA is a data set with validation and test images, OTHERS a Parquet file of pictures that show none
of its classes. For each seed a network is trained by `autoscale train` and calibrated by `autoscale
calibrate --reject 0.05 --unknown`; a row a seed goes to ROWS.csv. Then the temperature is chosen
again on fewer validation images, drawn 200 times, and what this does to the log loss on test images
goes to IMAGES.csv. A training that is there is not done again.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

import autoscale
from autoscale.answering.temperature import fit_temperature
from autoscale.errors import InvalidSetting
from autoscale.metrics.predictions import Predictions
from autoscale.metrics.probabilities import LogLoss
from autoscale.models.inference.images import class_places, validation_and_test
from autoscale.models.inference.passes import logits_of
from autoscale.models.settings import PassSettings

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import AnyRow, write  # noqa: E402

NETWORK = Path(__file__).parents[1] / "elastic" / "base.yaml"
DRAWS = 200


@dataclass(frozen=True, kw_only=True)
class Row:
    """A calibrated network; all but temperature, threshold and `unknown` is of test images."""

    seed: int
    epochs: int
    accuracy: float
    temperature: float
    log_loss_before: float
    log_loss_after: float
    error_before: float  # expected calibration error
    error_after: float
    none_below: float
    right_refused: float  # of the images that are answered right without a threshold
    coverage: float
    accuracy_of_answered: float
    unknown: int  # pictures of other things
    unknown_refused: float


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Temperatures that were chosen on so many validation images."""

    seed: int
    images: int
    gain: float  # mean fall of the log loss on test images, by a temperature
    worse: float  # share of the draws in which it rises


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("others", type=Path, help="a Parquet file")
    parser.add_argument("rows", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/answers"))
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--recipe", default="proxy")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--unknown", type=int, default=500, help="pictures of other things")
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 20, 50, 100, 200])
    asked = parser.parse_args(words)
    unknown = pictures(asked.others, asked.runs / f"unknown-{asked.unknown}", asked.unknown)
    rows, chosen = [], []
    for seed in range(asked.seeds):
        trained = autoscale.train(
            str(NETWORK),
            asked.runs / str(seed),
            data=asked.data,
            resolution=asked.resolution,
            epochs=asked.epochs,
            recipe=asked.recipe,
            seed=seed,
        )
        rows.append(calibrated(trained.weights, asked.data, unknown, seed, asked.epochs))
        write(asked.rows, rounded(rows), ending="\n")
        chosen += on_fewer(trained.weights, asked.data, seed, asked.counts)
        write(asked.images, rounded(chosen), ending="\n")


def pictures(source: Path, folder: Path, count: int) -> Path:
    """The first pictures of a Parquet file as files."""
    folder.mkdir(parents=True, exist_ok=True)
    table = parquet.read_table(source).slice(0, count)
    for number, picture in enumerate(table[table.column_names[0]].to_pylist()):
        (folder / f"{number:05}.png").write_bytes(picture["bytes"])
    return folder


def calibrated(weights: Path, data: str, unknown: Path, seed: int, epochs: int) -> Row:
    found = autoscale.calibrate(
        weights,
        data,
        reject=0.05,
        unknown=str(unknown),
        output=weights.with_name("calibrated.safetensors"),
    )
    assert found.test is not None
    assert found.unknown is not None
    before, after = found.test.before, found.test.after
    row = Row(
        seed=seed,
        epochs=epochs,
        accuracy=before.right.value or 0.0,
        temperature=found.temperature.value,
        log_loss_before=before.log_loss.value,
        log_loss_after=after.log_loss.value,
        error_before=before.calibration_error.value,
        error_after=after.calibration_error.value,
        none_below=after.answering.none_below or 0.0,
        right_refused=after.lost.value or 0.0,
        coverage=after.coverage.value or 0.0,
        accuracy_of_answered=after.right.value or 0.0,
        unknown=found.unknown.of,
        unknown_refused=found.unknown.value or 0.0,
    )
    print(row)
    for name, figure in before.figures.items():
        print(f"{name}: {figure} before, {after.figures[name]} after")
    print(f"temperature {found.temperature.interval}; unknown refused {found.unknown}", flush=True)
    return row


def on_fewer(weights: Path, data: str, seed: int, counts: Sequence[int]) -> list[Chosen]:
    """What a temperature does that was chosen on fewer validation images."""
    model = autoscale.load_model(weights)
    places = class_places(model, model.header.classes or (), data)
    validation, test = (
        Predictions(
            places[one.images.labels],
            logits_of(model, one.images.pixels, PassSettings())[0].numpy(),
        )
        for one in validation_and_test(model, data, seed=None)
        if one is not None
    )
    loss, rng = LogLoss(), np.random.default_rng(0)
    usual, found = loss.of(test), []
    for count in [*(count for count in counts if count < len(validation)), len(validation)]:
        gains = []
        for _ in range(DRAWS):
            some = rng.choice(len(validation), count, replace=False)
            try:
                temperature = fit_temperature(
                    Predictions(validation.labels[some], validation.logits[some])
                ).value
            except InvalidSetting:  # these are answered no better than by chance
                temperature = 1.0
            gains.append(usual - loss.of(Predictions(test.labels, test.logits / temperature)))
        worse = float(np.mean(np.array(gains) < 0))
        found.append(Chosen(seed=seed, images=count, gain=float(np.mean(gains)), worse=worse))
        print(found[-1], flush=True)
    return found


def rounded(rows: Sequence[AnyRow]) -> list[AnyRow]:
    return [
        replace(row, **{n: round(v, 5) for n, v in asdict(row).items() if isinstance(v, float)})
        for row in rows
    ]


if __name__ == "__main__":
    main()
