"""How long trainings will take, from a few timed steps of some of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture
from autoscale.jobs.workers.kernels import accelerated
from autoscale.jobs.workers.proxy import Proxy
from autoscale.network.build import Network as Built
from autoscale.network.threads import threads_of_torch
from autoscale.scaling.scalable import Network, cost_of
from autoscale.training.fit import fit
from autoscale.training.recipe import Recipe


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
        _of_parts(
            timed[one.network],
            replace(proxy.recipe, epochs=one.epochs),
            one.network.resolution,
            share=one.images / whole,
        )
        for one in portions
    )


def pace(proxy: Proxy, network: Network) -> Pace:
    """How long the parts of a training take, from a few timed steps of it."""
    images, recipe = proxy.images, proxy.recipe
    batch = recipe.batch_size
    steps = max(1, min(5, len(images.train) // batch))
    built = proxy.realised(network)
    module = accelerated(built, proxy.kernels)
    task = replace(proxy.task(network, seed=0), recipe=replace(recipe, epochs=1))

    def timed(few: Images) -> tuple[float, float]:
        with threads_of_torch(proxy.threads):
            fitted = fit(module, replace(task, train=few, validation=few), proxy.runtime)
        return fitted.train_seconds, fitted.seconds - fitted.train_seconds

    timed(_first(images.train, batch))  # the first steps are slower than all others
    sample = _first(images.train, steps * batch)
    training, evaluation = timed(sample)
    each, quantizing = evaluation / len(sample), 0.0
    if proxy.dtype == "int8":
        with threads_of_torch(proxy.threads):
            started = time.perf_counter()
            proxy.answered_in_int8(built, network, images.validation)
            quantizing = time.perf_counter() - started
    return Pace(
        begin=_beginning(proxy, network, each),
        epoch=max(1, len(images.train) // batch) * training / steps,
        evaluation=len(images.validation) * each + quantizing,
    )


def _seconds(proxy: Proxy, network: Network) -> float:
    """Seconds of one training, from a few steps of it."""
    return _of_parts(pace(proxy, network), proxy.recipe, network.resolution)


def _of_parts(found: Pace, recipe: Recipe, whole: int, *, share: float = 1.0) -> float:
    """Seconds of one training of a network for `whole` pixels per side.

    Args:
        share: of the images that an epoch shows.
    """
    sides = [recipe.resolution_at(n + 1, whole) for n in range(recipe.epochs)]
    epochs = sum((side / whole) ** 2 for side in sides)
    return found.begin + found.epoch * share * epochs + found.evaluation


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
