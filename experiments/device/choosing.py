"""Does the accuracy in float choose the network that is best in int8?

    OMP_NUM_THREADS=1 python experiments/device/choosing.py DATA OUT.csv [--networks 40]

Networks of the space `mcu` at one resolution and below a cost are drawn, as many of each activation
with squeeze-and-excitation in all blocks that may have it as without. Each is trained once by the
recipe `proxy` and answers the validation and test images in float and in int8. Rows that are in
OUT.csv are not trained again. `--tell` trains nothing: it prints Kendall's tau-b of the two
accuracies, of all networks and by activation and squeeze-and-excitation, and what is lost in int8
by taking the network that is best in float, each with the standard error of a bootstrap over
networks.
"""

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import append, read  # noqa: E402

SEED, DRAWS = 0, 1000


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network."""

    network: int
    activation: str
    squeeze_excite: str  # yes or no
    macs: int
    params: int
    images: str  # what all were trained on, the beginning of its fingerprint
    epochs: int
    resolution: int
    accuracy_float: float
    accuracy_int8: float
    cpu_seconds: float


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--resolution", type=int, default=48)
    parser.add_argument("--most-macs", type=int, default=3_000_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--limit", type=int, help="training images at most")
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args(words)
    rows = read(asked.csv, Row)
    if not asked.tell:
        torch.set_num_threads(1)
        rows = fill(asked, rows)
    tell(rows)


def fill(asked: argparse.Namespace, rows: list[Row]) -> list[Row]:
    """Train what is not there yet, and keep each row as soon as it is known."""
    proxy = judge(asked)
    space = load_space("mcu").for_task(
        resolution=asked.resolution, num_classes=len(proxy.images.classes)
    )
    known = proxy.fingerprint[:8], asked.epochs, asked.resolution
    if rows and known != (rows[0].images, rows[0].epochs, rows[0].resolution):
        raise SystemExit(f"{asked.csv} holds rows of other images or settings; name another file")
    done = {row.network for row in rows}
    for number, (activation, excited, design) in enumerate(drawn(space, asked)):
        if number in done:
            continue
        score = train_and_score(proxy, design, seed=SEED)
        assert score.accuracy_float is not None
        row = Row(
            network=number,
            activation=activation,
            squeeze_excite="yes" if excited else "no",
            macs=int(score.macs),
            params=int(score.params),
            images=known[0],
            epochs=asked.epochs,
            resolution=asked.resolution,
            accuracy_float=round(score.accuracy_float, 4),
            accuracy_int8=round(score.accuracy, 4),
            cpu_seconds=round(score.training_cost, 1),
        )
        rows.append(row)
        append(asked.csv, row)
    return rows


def judge(asked: argparse.Namespace) -> Proxy:
    """How a network is trained and judged: on validation and test images together."""
    proxy = Proxy(
        source=ImageSource(data=asked.data, seed=SEED, limit=asked.limit),
        recipe=recipe_named("proxy", epochs=asked.epochs),
        kernels=choose_kernels("auto", device="cpu", listener=Silent()),
        dtype="int8",
    ).load(size=asked.resolution, test=True)
    images = proxy.images
    if images.test is None:
        return proxy
    parts = images.validation, images.test
    both = Images(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
    return proxy.having(replace(images, validation=both), size=asked.resolution)


def drawn(space: SearchSpace, asked: argparse.Namespace) -> list[tuple[str, bool, Architecture]]:
    """Different designs, by turns of each activation with squeeze-and-excitation and without."""
    cells = [*product(space.activation, (False, True))]
    source, found = random.Random(SEED), dict[Architecture, tuple[str, bool]]()
    for number in range(asked.networks):
        activation, excited = cells[number % len(cells)]
        of_cell = (design for _ in range(100_000)
                   if fits(design := space.sample(source), space, activation, excited)
                   and cost(design).macs <= asked.most_macs and design not in found)  # fmt: skip
        chosen = next(of_cell, None)
        if chosen is None:
            raise SystemExit(f"too few designs cost at most {asked.most_macs:,}; raise --most-macs")
        found[chosen] = activation, excited
    return [(activation, excited, design) for design, (activation, excited) in found.items()]


def fits(design: Architecture, space: SearchSpace, activation: str, excited: bool) -> bool:
    chosen = space.params_of(design)
    ratios = [value for name, value in chosen.items() if name.endswith("se_ratio")]
    return chosen["activation"] == activation and all(bool(ratio) == excited for ratio in ratios)


def tell(rows: Sequence[Row]) -> None:
    """What the rows say; groups of fewer than three say nothing."""
    groups = {"all": list(rows)}
    for row in rows:
        for name in (row.activation, f"squeeze-and-excitation {row.squeeze_excite}"):
            groups.setdefault(name, []).append(row)
    for name, members in groups.items():
        if len(members) < 3:
            print(f"{name}: {len(members)} networks, too few to tell")
            continue
        pairs = np.array([(one.accuracy_float, one.accuracy_int8) for one in members])
        tau, regret = with_error(tau_b, pairs), with_error(lost, pairs)
        change = with_error(lambda own: float((own[:, 1] - own[:, 0]).mean()), pairs)
        print(
            f"{name}: {len(members)} networks, tau-b {tau}, lost by choosing in float {regret}, "
            f"int8 less float {change}"
        )


def tau_b(pairs: NDArray[np.float64]) -> float:
    """Kendall's tau-b of two columns; nan where one is constant."""
    signs = np.sign(pairs[:, None, :] - pairs[None, :, :])
    one, other = signs[..., 0], signs[..., 1]
    different = np.sqrt(np.square(one).sum() * np.square(other).sum())
    return float((one * other).sum() / different) if different else float("nan")


def lost(pairs: NDArray[np.float64]) -> float:
    """The best accuracy in int8, less that of the best in float; of equals the mean."""
    best = pairs[:, 0] == pairs[:, 0].max()
    return float(pairs[:, 1].max() - pairs[best, 1].mean())


def with_error(of: Callable[[NDArray[np.float64]], float], pairs: NDArray[np.float64]) -> str:
    """A figure and its standard error by drawing networks again, with replacement."""
    random_ = np.random.default_rng(SEED)
    again = [of(pairs[random_.integers(len(pairs), size=len(pairs))]) for _ in range(DRAWS)]
    return f"{of(pairs):.3f} +- {np.nanstd(again):.3f}"


if __name__ == "__main__":
    main()
