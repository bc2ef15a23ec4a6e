"""How often do the intervals of an advice hold the true gain, on data drawn from its law?

    OMP_NUM_THREADS=1 python experiments/advice/simulating.py [--cases 60]

Each case draws a law from the prior, and from it the trainings that `autoscale advise` makes around
2,000 images and 4 epochs, two seeds of each, with the noise of seeds and of 400 validation images,
of which a hard one is hard for most. Printed is how many intervals at 90 % hold the true gain, and
their mean width.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from autoscale.advice.design import points
from autoscale.advice.efforts import LEVEL
from autoscale.advice.law import Amounts, Array, Law
from autoscale.advice.posterior import LawPosterior, Measured, fit_law, interval

SEED, IMAGES, CEILING, ALIKE = 5, 400, 0.9, 0.7
BASE = Amounts(images=2000, epochs=4, macs=1e6, pixels=32)
#: Factors of the multiply-adds, and pixels.
SIZES = {
    "base": (1.0, 32),
    "smaller": (0.5, 32),
    "larger": (2.0, 32),
    "fewer pixels": (1.0, 22.4),
    "more pixels": (1.0, 44.8),
}
ASKED = {
    "twice the images": replace(BASE, images=4000),
    "twice the epochs": replace(BASE, epochs=8),
    "twice the multiply-adds": replace(BASE, macs=2e6),
    "eight times the images": replace(BASE, images=16000),
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=60)
    cases = parser.parse_args(words).cases
    made = [
        replace(BASE, images=one.images, epochs=one.epochs, macs=1e6 * factor, pixels=pixels)
        for one in points(2000, 4, classes=10, halvings=2, sizes=[*SIZES][1:])  # type: ignore[arg-type]
        for factor, pixels in [SIZES[one.size]]
        for _ in range(2)
    ]
    law = Law.of(BASE, made, ceiling=CEILING)
    random = np.random.default_rng(SEED)
    held: dict[str, list[bool]] = {name: [] for name in ASKED}
    widths: dict[str, list[float]] = {name: [] for name in ASKED}
    for _ in range(cases):
        parameters = law.drawn(1, random)
        measured = trained(law, parameters, made, random)
        fitted = fit_law(measured, BASE, weights=np.full(IMAGES, 1 / IMAGES), ceiling=CEILING)
        true = LawPosterior(law=law, parameters=parameters)
        for name, amounts in ASKED.items():
            found = interval(fitted.gains(amounts), LEVEL)
            held[name].append(found.low <= true.gains(amounts)[0] <= found.high)
            widths[name].append(found.high - found.low)
    for name in ASKED:
        print(
            f"{name}: {sum(held[name])} of {cases} intervals hold the true gain, mean width "
            f"{100 * np.mean(widths[name]):.1f} points"
        )


def trained(
    law: Law, parameters: Array, made: Sequence[Amounts], random: np.random.Generator
) -> list[Measured]:
    """Trainings as a law makes them."""
    errors = law.errors(parameters, law.positions(made))[0]
    noise = random.normal(0, law.noise(parameters)[0], len(errors))
    errors = np.clip(errors + noise, 0.001, 0.999)
    hard = random.standard_normal(IMAGES)
    own = random.standard_normal((len(errors), IMAGES))
    bounds = np.array([NormalDist().inv_cdf(error) for error in errors])
    wrong = np.sqrt(ALIKE) * hard + np.sqrt(1 - ALIKE) * own < bounds[:, None]
    return [
        Measured(amounts=amounts, error=float(one.mean()), wrong=one)
        for amounts, one in zip(made, wrong, strict=True)
    ]


if __name__ == "__main__":
    main()
