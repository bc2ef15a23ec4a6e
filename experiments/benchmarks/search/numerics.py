"""What scipy would change in the Gaussian process: speed, last digits, proposals.

    pip install scipy
    OMP_NUM_THREADS=1 python experiments/benchmarks/search/numerics.py

Processor milliseconds, medians. Triangles: the inverse and the product of `triangles` and
LAPACK's dtrtri and BLAS's dtrmm and dtrsm as scipy calls them. Amplitudes: our BFGS and scipy's
minimisers. Then whole suggestions, and how many proposals of a search stay the same.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import optuna
from scipy.linalg import blas, lapack, solve_triangular
from scipy.optimize import minimize

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from landscapes import LANDSCAPES  # noqa: E402
from speed import suggestion_ms  # noqa: E402
from tasks import Task  # noqa: E402

from autoscale.search.model.gaussian import evidence as ev  # noqa: E402
from autoscale.search.model.gaussian import inverse_cholesky as ic  # noqa: E402
from autoscale.search.model.gaussian.amplitudes import PRIOR_MEAN  # noqa: E402
from autoscale.search.model.gaussian.covariance import Inputs  # noqa: E402
from autoscale.search.model.gaussian.posterior import Scores  # noqa: E402
from autoscale.search.model.gaussian.stepwise import Steps, Stepwise  # noqa: E402
from autoscale.search.model.gaussian.triangles import lower_inverse, lower_product  # noqa: E402
from autoscale.search.samplers import make_sampler  # noqa: E402

COLUMNS = 2000


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(
        "| rows | inverse: ours | dtrtri | product: ours | dtrmm | dtrsm | equal to the last bit |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in (32, 64, 128, 256, 400, 800):
        triangles(size)
    print("\n| trials | minimiser | loss | evaluations | ms |\n| --- | --- | --- | --- | --- |")
    for size in (60, 128):
        amplitudes(size)
    task = Task("single", LANDSCAPES["mnasnet"]())
    print("\n| suggestions after 400 trials, in turns | ms |\n| --- | --- |")
    for _ in range(3):
        for name, replaced in (("ours", False), ("scipy's triangles", True)):
            with scipys_triangles() if replaced else unchanged():
                print(
                    f"| {name} | {np.median(suggestion_ms(task, 'guided', 400)):.1f} |", flush=True
                )
    proposals()


def inverse(lower: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(lapack.dtrtri(lower.T, lower=0)[0].T)


def product(lower: np.ndarray, right: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    found = np.ascontiguousarray(blas.dtrmm(1.0, lower.T, right.T, side=1, lower=0).T)
    if out is not None:
        out[:] = found
    return found


def scipys_bfgs(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, *, steps: int
) -> Steps[np.ndarray]:
    yield
    found: np.ndarray = minimize(
        function, start, jac=True, method="L-BFGS-B", options={"maxiter": steps, "ftol": 1e-5}
    ).x
    return found


@contextmanager
def scipys_triangles() -> Iterator[None]:
    with ExitStack() as patched:
        for module in (ic, ev):
            patched.enter_context(patch.object(module, "lower_inverse", inverse))
        patched.enter_context(patch.object(ic, "lower_product", product))
        yield


@contextmanager
def unchanged() -> Iterator[None]:
    yield


def milliseconds(work: Callable[[], object], repeats: int = 11) -> float:
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        taken.append(1e3 * (time.process_time() - began))
    return statistics.median(taken)


def triangles(size: int) -> None:
    numbers = np.random.default_rng(0)
    wide = numbers.standard_normal((size, 2 * size))
    lower = np.linalg.cholesky(wide @ wide.T / size + np.eye(size))
    known, right = lower_inverse(lower), numbers.standard_normal((size, COLUMNS))
    equal = [
        np.array_equal(known, inverse(lower)),
        np.array_equal(lower_product(known, right), product(known, right)),
        np.array_equal(lower_product(known, right), solve_triangular(lower, right, lower=True)),
    ]
    taken = [
        milliseconds(lambda: lower_inverse(lower)),
        milliseconds(lambda: inverse(lower)),
        milliseconds(lambda: lower_product(known, right)),
        milliseconds(lambda: product(known, right)),
        milliseconds(lambda: solve_triangular(lower, right, lower=True, check_finite=False)),
    ]
    same = ", ".join(n for n, e in zip(("dtrtri", "dtrmm", "dtrsm"), equal, strict=True) if e)
    print(f"| {size} | {' | '.join(f'{one:.2f}' for one in taken)} | {same or 'none'} |")


def amplitudes(size: int) -> None:
    numbers = np.random.default_rng(0)
    features = numbers.standard_normal((size, 6))
    inputs = Inputs(numbers.random((size, 40)) / 6, features, np.arange(size))
    mean = features @ numbers.standard_normal(6) / 2 + 0.4 * numbers.standard_normal(size)
    scores = Scores((mean - mean.mean()) / mean.std(), np.ones(size), 0.0)
    evidence = ev.Evidence(inputs)
    calls = 0

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        return evidence.loss(theta, scores)

    for name, minimiser in (("ours", ev.minimise), ("scipy's L-BFGS-B", scipys_bfgs)):
        calls = 0
        found = Stepwise(minimiser(loss, PRIOR_MEAN, steps=20)).result()
        evaluations = calls
        taken = milliseconds(
            lambda: Stepwise(minimiser(loss, PRIOR_MEAN, steps=20)).result(),  # noqa: B023
            repeats=5,
        )
        value = evidence.loss(found, scores)[0]
        print(f"| {size} | {name} | {value:.4f} | {evaluations} | {taken:.1f} |")


def proposals(trials: int = 80) -> None:
    """How long a search of `chain` stays the same with scipy in the place of our own."""
    task = Task("single", LANDSCAPES["chain"]())

    def search(seed: int) -> list[dict[str, object]]:
        luck = np.random.default_rng(seed)
        sampler = make_sampler("guided", seed=seed, space=task.landscape.space, known=task.known)
        study = optuna.create_study(directions=task.directions, sampler=sampler)
        for _ in range(trials):
            trial = study.ask()
            design = task.landscape.space.suggest(trial)
            study.tell(trial, task.values(design, luck))
        return [trial.params for trial in study.trials]

    for seed in range(3):
        ours = search(seed)
        with scipys_triangles():
            others = {"triangles": search(seed)}
        with patch.object(ev, "minimise", scipys_bfgs):
            others["L-BFGS-B"] = search(seed)
        for name, theirs in others.items():
            apart = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
            first = f"differ from trial {apart[0]} on" if apart else "are the same"
            print(f"seed {seed}: proposals with scipy's {name} {first} ({trials} trials)")


if __name__ == "__main__":
    main()
