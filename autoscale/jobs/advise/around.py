"""The network that is advised on, how it is trained and judged, and the sizes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from autoscale.advice.design import Size
from autoscale.advice.law import Amounts
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.rounding import PAPER, rounding_policy
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.advise.of_grids import networks_of_grids, pixels_of_grids
from autoscale.jobs.advise.result import STEP
from autoscale.jobs.advise.settings import AdviseSettings
from autoscale.jobs.family.kept import STEP as FAMILY
from autoscale.jobs.family.kept import load_member
from autoscale.jobs.grid.candidates import GROW, SHRINK
from autoscale.jobs.grid.scaling_base import scalable_from
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.search.result import load_baseline, load_proxy, with_images
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.several import require_single
from autoscale.listener import Listener
from autoscale.metrics.answers import Accuracy
from autoscale.metrics.metric import Metric
from autoscale.runs.store import StepFolder
from autoscale.scaling.family import Member
from autoscale.scaling.scalable import Design

#: Factors of the multiply-adds of the sizes beside the base.
FACTOR = 2.0
#: A network counts as smaller or larger from this factor on, and up to that one.
_LEAST_FACTOR, _MOST_FACTOR = 1.25, 4.0
#: Of the path along which a network grows, and of its growth.
_STEPS, _REACH = 400, 8.0


@dataclass(frozen=True, kw_only=True)
class Around:
    """A network with the sizes beside it, and the proxy that judges all of them."""

    name: str  # "the baseline", or a member's
    base: Design
    sizes: Mapping[Size, Architecture]  # the base among them
    proxy: Proxy

    @property
    def metric(self) -> Metric:
        """What networks are judged by."""
        return self.proxy.metric or Accuracy()

    @property
    def ceiling(self) -> float:
        """The error of always giving one answer; 1 where that is no measure."""
        images = self.proxy.images
        best = self.metric.of_one_answer(images.validation.labels, len(images.classes))
        return 1.0 if best is None or best >= 1 else 1 - best

    def amounts(self, images: int, epochs: int, size: Size = "base") -> Amounts:
        """What a training of one of the sizes gets."""
        network = self.sizes[size]
        alike = replace(network, resolution=self.base.resolution)
        return Amounts(
            images=images,
            epochs=epochs,
            macs=int(cost(alike).macs),
            pixels=network.resolution,
        )

    def with_images(self, run: Path, *, size: int, listener: Listener) -> Around:
        """With the images of the run, without the test images.

        Raises:
            DataProblem: if they cannot be read.
            RunConflict: if they are not those of the run.
            InvalidSetting: if the metric has no law.
        """
        if StepFolder(run, SEARCH).read() is not None:
            proxy = with_images(run, self.proxy, size=size, test=False, listener=listener)
        else:
            proxy = self.proxy.load(size=size, listener=listener)
        require_single(proxy, "advise")
        found = replace(self, proxy=proxy)
        if found.metric.image_weights(proxy.images.validation.labels) is None:
            raise InvalidSetting(
                f"the run's networks are judged by {proxy.chosen.name}, and laws are of shares of "
                "images answered wrong; advise takes runs of accuracy, balanced-accuracy or "
                "recall:CLASS"
            )
        return found


def around(run: Path, settings: AdviseSettings) -> Around:
    """The network that is asked about, its images yet to be loaded.

    Raises:
        InvalidSetting: if the run holds no network, or one that no law is made for.
        RunConflict: if its files are not readable.
    """
    design, proxy = _judged(run, settings)
    if proxy.transfer.lessons is not None:
        raise InvalidSetting(
            f"the networks in {run} learn from a teacher, who answers all training images; advise "
            "trains on subsets, and takes runs without a teacher"
        )
    name = "the baseline"
    if settings.member is not None:
        name, design = settings.member, _member(run, settings.member, design)
    proxy = proxy.for_design(design.base)
    sizes = _sizes_begun(run, design) or sizes_beside(
        design, networks_of_grids(run, design), stored=pixels_of_grids(run)
    )
    return Around(name=name, base=design, sizes=sizes, proxy=proxy)


def _judged(run: Path, settings: AdviseSettings) -> tuple[Design, Proxy]:
    """The run's own base, and how its search, or else its grid, judges networks."""
    grids = [found for name in (GROW, SHRINK) if (found := StepFolder(run, name).read())]
    searched = StepFolder(run, SEARCH).read() is not None
    if searched or not grids:
        chosen = load_baseline(run).trial.architecture
        base = _base_of(run, grids[0]) if grids else None
        rounding = rounding_policy("tf") if base is None else base.rounding
        proxy = load_proxy(
            run,
            data=settings.data,
            weights=settings.weights,
            device=settings.device,
            threads=settings.threads,
        )
        return Design(chosen, rounding), proxy
    proxy = _proxy_of_grid(run, grids[0], settings)
    return _base_of(run, grids[0]), replace(proxy, fingerprint=grids[0]["settings"]["images"])


def _base_of(run: Path, grid: Mapping[str, Any]) -> Design:
    description = grid["settings"].get("base") or {}
    if "model" in description:
        raise InvalidSetting(
            f"the grid in {run} scales {description['model']}, code of your own; advise takes "
            "runs of designs"
        )
    found = scalable_from(description)
    assert isinstance(found, Design)
    return found


def _proxy_of_grid(run: Path, grid: Mapping[str, Any], settings: AdviseSettings) -> Proxy:
    moved = {"data": settings.data, "weights": settings.weights}
    places = {name: place for name, place in moved.items() if place is not None}
    notes = {**grid["notes"], **places}
    if notes.get("data") is None:
        raise InvalidSetting(f"{run} names no images; say with --data where they lie")
    try:
        return Proxy.from_record(
            grid["settings"], notes=notes, device=settings.device, threads=settings.threads
        )
    except (KeyError, TypeError) as problem:
        raise RunConflict(
            f"the settings of the grid in {run} are damaged ({problem!r}); restore them from a "
            "copy or choose another --run"
        ) from None


def _member(run: Path, name: str, design: Design) -> Design:
    file = run / FAMILY / f"{name}.yaml"
    if Path(name).name != name or not file.exists():
        there = sorted(path.stem for path in (run / FAMILY).glob("*.yaml") if path.stem != "job")
        raise InvalidSetting(
            f"the family in {run} has no member {name}; "
            + (f"choose from {', '.join(there)}" if there else "write one with autoscale family")
        )
    found = load_member(file)
    if not isinstance(found, Member):
        raise InvalidSetting(
            f"{name} is a member of a model of your own; advise takes runs of designs"
        )
    return Design(found.architecture, design.rounding)


def _sizes_begun(run: Path, design: Design) -> dict[Size, Architecture] | None:
    """The sizes that earlier trainings were made of; None where none were made of this network.

    Raises:
        RunConflict: if they are not readable.
    """
    folder = StepFolder(run, STEP)
    begun = (folder.read() or {}).get("settings", {})
    if begun.get("network") != design.base.to_dict():
        return None
    try:
        return {size: Architecture.from_dict(plain) for size, plain in begun["sizes"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise RunConflict(
            f"{folder.file('settings.json')} is damaged ({problem!r}); restore it from a copy or "
            "choose another --run"
        ) from None


def sizes_beside(
    base: Design, trained: Sequence[Architecture] = (), *, stored: int | None = None
) -> dict[Size, Architecture]:
    """The base, and of its networks those nearest to half and twice its multiply-adds: by depth and
    width, and by pixels; where there are such.

    Args:
        trained: networks that the run's grids have trained. One of them that differs in depth and
            width alone, or in pixels alone, and whose multiply-adds come within a quarter of half
            or twice the base's, goes before all others. Those share depth and width out as the
            paper does.
        stored: pixels per side at which the grids decoded their images. A network of more pixels
            has no more than these if one of so few is larger at all, since a training on images
            that were decoded otherwise is another one.
    """
    found: dict[Size, Architecture | None] = {"base": base.base}
    share = log(PAPER.alpha) / log(PAPER.alpha * PAPER.beta**2)
    pairs: tuple[tuple[Size, Size, bool], ...] = (
        ("smaller", "fewer pixels", False),
        ("larger", "more pixels", True),
    )
    for size, side, up in pairs:
        growth = np.geomspace(1, _REACH if up else 1 / _REACH, _STEPS)
        depth, width = growth**share, growth ** ((1 - share) / 2)
        factor = np.geomspace(1, _MOST_FACTOR if up else 1 / _MOST_FACTOR, _STEPS)
        ones, pixels = np.ones(_STEPS), base.pixels(factor)
        same = np.full(_STEPS, base.resolution)
        alike = [one for one in trained if one.resolution == base.resolution]
        scaled = [one for one in trained if replace(one, resolution=base.resolution) == base.base]
        within = pixels <= (stored if up and stored is not None else pixels.max())
        found[size] = _among(base, alike, up=up) or _along(base, depth, width, same, up=up)
        found[side] = (
            _among(base, scaled, up=up)
            or _along(base, ones[within], ones[within], pixels[within], up=up)
            or _along(base, ones, ones, pixels, up=up)
        )
    return {size: network for size, network in found.items() if network is not None}


def _among(base: Design, trained: Sequence[Architecture], *, up: bool) -> Architecture | None:
    """Of trained networks the one nearest to the factor, if one comes within a quarter of it."""
    wanted = log(FACTOR) if up else -log(FACTOR)
    apart = {one: abs(log(cost(one).macs / cost(base.base).macs) - wanted) for one in trained}
    near = [one for one, distance in apart.items() if distance <= log(1.25)]
    return min(near, key=lambda one: apart[one], default=None)


def _along(
    base: Design, depth: np.ndarray, width: np.ndarray, pixels: np.ndarray, *, up: bool
) -> Architecture | None:
    """Of a path the network nearest to the factor, if it is smaller or larger at all."""
    if not len(pixels):
        return None
    ratios = base.costs(depth, width, pixels).macs / cost(base.base).macs
    logs = np.log(ratios) if up else -np.log(ratios)
    place = int(np.argmin(np.abs(logs - log(FACTOR))))
    if not log(_LEAST_FACTOR) <= logs[place] <= log(_MOST_FACTOR):
        return None
    return base.at(float(depth[place]), float(width[place]), int(pixels[place]))
