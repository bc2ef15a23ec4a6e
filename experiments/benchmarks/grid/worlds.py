"""Grids whose true means are known: candidates, what they are worth, how seeds scatter.

Scores are in points of accuracy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.published import published
from autoscale.design.rounding import rounding_policy
from autoscale.racing.response_surface import COST_EXPONENTS
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.grid import axis, build_grid
from autoscale.scaling.scalable import Design

#: Standard deviation of one training: NAS-Bench-Macro (Su et al. 2021), CIFAR-10, mean over its
#: networks of the standard deviation of three seeds.
SEED_SD = 0.151
#: The share of its variance that all candidates have in common. An assumption.
SHARED = 0.25
#: Of the candidates' own parts, in the world that has them.
OWN_SD = 0.1
#: Range of the smooth part over the candidates.
RANGES = (0.2, 2.0)


@dataclass(frozen=True)
class World:
    """One true response and the luck of its seeds.

    Attributes:
        truth: shape (candidates,), true means.
        scores: shape (candidates, seeds), what each training would show.
    """

    positions: np.ndarray
    truth: np.ndarray
    scores: np.ndarray


def _effective(base: Architecture, network: Architecture) -> list[float]:
    blocks = [sum(stage.depth for stage in a.stages) for a in (base, network)]
    width = [
        log(after.width / before.width)
        for before, after in zip(base.stages, network.stages, strict=True)
    ]
    return [
        log(blocks[1] / blocks[0]),
        float(np.mean(width)),
        log(network.resolution / base.resolution),
    ]


def b0_twice() -> np.ndarray:
    """The 20 distinct networks of EfficientNet-B0's grid at twice its multiply-adds +-5 %."""
    base = published("efficientnet-b0")
    half = axis("1..1.5", step=0.05)
    grid = build_grid(
        Design(base, rounding_policy("tf")),
        parse_budget("2x", base=cost(base).macs),
        alphas=axis("1..2", step=0.05),
        betas=half,
        gammas=half,
        tolerance=0.05,
    )
    networks = (candidate.network for candidate in grid.candidates)
    return np.array([_effective(base, n) for n in networks if isinstance(n, Architecture)])


def on_the_plane() -> np.ndarray:
    """36 points where depth * width**2 * resolution**2 is 2: a triangular lattice with its rim."""
    shares = [(i / 7, j / 7, (7 - i - j) / 7) for i in range(8) for j in range(8 - i)]
    return np.array(shares) * log(2) / COST_EXPONENTS


PLACES: dict[str, Callable[[], np.ndarray]] = {"b0": b0_twice, "plane": on_the_plane}


def _peak_inside(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top = rng.dirichlet(np.ones(4)) @ x[rng.choice(len(x), 4, replace=False)]
    return -np.sum((x - top) ** 2, axis=1)


def _peak_at_the_rim(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    way = x[rng.integers(len(x))]
    return -np.sum((x - 2 * way / max(np.linalg.norm(way), 1e-9)) ** 2, axis=1)


def _ridge(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    across = (
        rng.standard_normal(3)
        @ np.linalg.svd(x, full_matrices=False)[2][:2].T
        @ (np.linalg.svd(x, full_matrices=False)[2][:2])
    )
    along = x @ (across / np.linalg.norm(across))
    return -((along - rng.choice(along)) ** 2)


def _bump(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top = rng.dirichlet(np.ones(4)) @ x[rng.choice(len(x), 4, replace=False)]
    return np.exp(-2 * np.sum((x - top) ** 2, axis=1))


def _nothing(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.zeros(len(x))


#: Shapes over positions whose root mean square distance from their centre is 1.
SHAPES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "peak inside": _peak_inside,
    "peak at the rim": _peak_at_the_rim,
    "ridge": _ridge,
    "bump": _bump,
    "rough": _peak_inside,
    "nothing": _nothing,
}


def make_world(place: str, shape: str, seed: int, *, seeds: int = 3) -> World:
    """One draw of a family of surfaces and of the luck of `seeds` seeds."""
    positions = PLACES[place]()
    rng = np.random.default_rng([seed, list(PLACES).index(place), list(SHAPES).index(shape)])
    x = positions * COST_EXPONENTS
    x = x - x.mean(axis=0)
    x = x / sqrt(np.sum(x**2) / len(x))
    truth = SHAPES[shape](x, rng)
    if np.ptp(truth) > 0:
        truth = truth / np.ptp(truth) * np.exp(rng.uniform(*np.log(RANGES)))
    if shape == "rough":
        truth = truth + OWN_SD * rng.standard_normal(len(x))
    luck = sqrt(SHARED) * rng.standard_normal(seeds)
    luck = luck + sqrt(1 - SHARED) * rng.standard_normal((len(x), seeds))
    return World(positions, truth, truth[:, None] + SEED_SD * luck)
