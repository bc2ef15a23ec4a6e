"""How long trainings will take, from a few timed steps of some of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture
from autoscale.jobs.workers.kernels import accelerated
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import answered_in_int8
from autoscale.network.build import Network as Built
from autoscale.network.threads import threads_of_torch
from autoscale.scaling.scalable import Network, cost_of
from autoscale.training.fit import fit
from autoscale.training.recipe import Recipe
from autoscale.training.task import TrainingTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds that the parts of a training take."""

    begin: float  # putting weights of a start into the network, and fitting its classifier first
    epoch: float  # of images as large as the network's
    evaluation: float  # on the validation images, in int8 too where that is scored


def estimate_seconds(proxy: Proxy, networks: Sequence[Network]) -> float:
    """Seconds that training each of them once will take, from a few timed steps of two.

    The cheapest and the most expensive are timed, the others follow from their activations, which
    decide the time of small networks more than multiply-adds do. What comes before the first step
    is timed too, but for a teacher's answers: see `Proxy.teacher_seconds`.

    Args:
        proxy: with its images.
    """
    sizes = [cost_of(network).activations for network in networks]
    low = networks[sizes.index(min(sizes))]
    high = networks[sizes.index(max(sizes))]
    fast = _seconds(proxy, low)
    if min(sizes) == max(sizes):
        return fast * len(sizes)
    slope = (_seconds(proxy, high) - fast) / (max(sizes) - min(sizes))
    return sum(fast + slope * (size - min(sizes)) for size in sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """A training with a part of the images, or other epochs than the recipe's."""

    network: Network
    images: int
    epochs: int


def estimate_portions(proxy: Proxy, portions: Sequence[Portion]) -> float:
    """Seconds that trainings will take which differ in images and epochs, from a few timed steps.

    Each different network is timed once; the time of epochs goes with images and epochs.

    Args:
        proxy: with its images, all of them.
    """
    whole = len(proxy.images.train)
    timed = {
        network: pace(proxy, network) for network in dict.fromkeys(p.network for p in portions)
    }
    return sum(
        seconds_of_training(
            replace(proxy.recipe, epochs=one.epochs),
            timed[one.network],
            one.network.resolution,
            evaluations=1,
            share=one.images / whole,
        )
        for one in portions
    )


def pace(proxy: Proxy, network: Network) -> Pace:
    """How long the parts of a training take, from a few timed steps of it."""
    built = proxy.realised(network)
    found = pace_of(
        proxy, network, accelerated(built, proxy.kernels), proxy.task(network, seed=0), steps=5
    )
    if proxy.dtype != "int8":
        return found
    with threads_of_torch(proxy.threads):
        started = time.perf_counter()
        answered_in_int8(proxy, built, network, proxy.images.validation)
        quantizing = time.perf_counter() - started
    return replace(found, evaluation=found.evaluation + quantizing)


def pace_of(
    proxy: Proxy, network: Network, module: nn.Module, task: TrainingTask, *, steps: int
) -> Pace:
    """How long the parts of one training take, from a few timed steps of it.

    Args:
        network: the design of `module`.
        module: is trained by that.
        task: the training, whose epochs do not matter.
        steps: to time, at most.
    """
    batch = task.recipe.batch_size
    task = replace(task, recipe=replace(task.recipe, epochs=1), evaluate_after=())

    def timed(few: Images) -> tuple[float, float]:
        with threads_of_torch(proxy.threads):
            fitted = fit(module, replace(task, train=few, validation=few), proxy.runtime)
        return fitted.train_seconds, fitted.seconds - fitted.train_seconds

    timed(_first(task.train, batch))  # the first steps are slower than all others
    steps = min(steps, task.steps)
    sample = _first(task.train, steps * batch)
    training, evaluation = timed(sample)
    each = evaluation / len(sample)
    return Pace(
        begin=_beginning(proxy, network, each),
        epoch=task.steps * training / steps,
        evaluation=len(task.validation) * each,
    )


def seconds_of_training(
    recipe: Recipe, found: Pace, resolution: int, *, evaluations: int, share: float = 1.0
) -> float:
    """Seconds of a training, whose early epochs are short if images grow.

    Args:
        found: of epochs with images of `resolution`.
        share: of the images that an epoch shows.
    """
    sides = [recipe.resolution_at(n + 1, resolution) for n in range(recipe.epochs)]
    epochs = sum((side / resolution) ** 2 for side in sides)
    return found.begin + found.epoch * share * epochs + evaluations * found.evaluation


def _seconds(proxy: Proxy, network: Network) -> float:
    """Seconds of one training, from a few steps of it."""
    found = pace(proxy, network)
    return seconds_of_training(proxy.recipe, found, network.resolution, evaluations=1)


def _beginning(proxy: Proxy, network: Network, each: float) -> float:
    """Seconds before the first step.

    Args:
        each: those of passing an image.
    """
    if proxy.inheritance is None:
        return 0.0
    module = proxy.realised(network)
    assert isinstance(module, Built)
    assert isinstance(network, Architecture)
    with threads_of_torch(proxy.threads):
        seconds = proxy.inheritance.seconds(module, network)
    if not (proxy.recipe.head_first and proxy.inheritance.new_classifier):
        return seconds
    # The classifier is fitted on features of each image, and of mirror images, in no time beside.
    images, looks = proxy.images, 2 if proxy.recipe.flip else 1
    return seconds + (looks * len(images.train) + len(images.validation)) * each


def _first(images: Images, count: int) -> Images:
    return images.subset(range(min(count, len(images))))
