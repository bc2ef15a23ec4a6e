"""How often do 95 % intervals hold a true difference of nought, by which scatter they count?

    python experiments/transfer/coverage.py

Two ways to train are equally good over all seeds and images. Whether a training answers an image
right depends on how hard the image is, to which way it comes easier, on how the training went, and
on chance. Compared are the interval of `autoscale try-weights`, which counts seeds and images
(`racing.crossed`), that of seeds alone (Student's, paired) and that of images alone.
"""

from __future__ import annotations

import argparse
from itertools import product
from math import sqrt

import numpy as np

from autoscale.racing.crossed import CrossedLead
from autoscale.racing.paired import Paired

#: Scatter of a training, and of how much easier an image comes to one way: standard deviations of
#: what decides an answer.
SCATTERS = ((0.0, 0.5), (0.0, 1.5), (0.15, 0.0), (0.15, 0.5), (0.15, 1.5), (0.3, 0.0), (0.3, 0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--images", type=int, nargs="+", default=[341, 2000])
    parser.add_argument("--repeats", type=int, default=1000)
    asked = parser.parse_args()
    print("pairs, images, scatter of a training, of a way: held by both, seeds, images; width")
    for pairs, images, (of_seed, of_way) in product(asked.pairs, asked.images, SCATTERS):
        rng = np.random.default_rng(0)
        held, width, scatter = np.zeros(3), 0.0, 0.0
        for _ in range(asked.repeats):
            image, suits = rng.normal(0, 1.5, images), rng.normal(0, of_way, images)
            training = rng.normal(0, of_seed, (2, pairs, 1))
            way = np.array([1, -1]).reshape(2, 1, 1)
            chance = rng.logistic(0, 0.8, (2, pairs, images))
            own, other = image + way * suits + training + chance > -0.6
            both = CrossedLead.of(own, other)
            alone = Paired.of(
                *(dict(enumerate(w.mean(axis=1))) for w in (own, other)), images=images
            )
            each = (own.astype(float) - other).mean(axis=0)
            held += (
                both.advice == "either",
                alone.standing == "tied",
                abs(each.mean()) <= 1.96 * each.std(ddof=1) / sqrt(images),
            )
            width += (both.high or 0.0) - (both.low or 0.0)
            scatter += own.mean(axis=1).std(ddof=1)
        shares = " ".join(f"{share:.3f}" for share in held / asked.repeats)
        print(
            f"{pairs} {images} {of_seed} {of_way}: {shares}; {width / asked.repeats:.3f} wide, "
            f"a training's accuracy scatters by {scatter / asked.repeats:.3f}"
        )


if __name__ == "__main__":
    main()
