"""What can be scaled: a design with a rounding policy, or a function that makes networks.

A `Scalable` answers for any multipliers of depth and width and any whole resolution: what does the
network cost, and which network is it? The grid asks nothing else, so it scales whatever answers.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import exp, log, sqrt
from typing import NamedTuple, Protocol

import numpy as np

from autoscale.aspect import SQUARE, Aspect
from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost, cost, part_costs
from autoscale.design.costs import scaled_costs
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number
from autoscale.design.rounding import Rounding, scale


class Growth(NamedTuple):
    """How many times deeper, wider and finer than a base."""

    depth: float
    width: float
    resolution: float

    @property
    def nominal(self) -> float:
        """Growth of the multiply-adds if nothing were rounded."""
        return self.depth * self.width**2 * self.resolution**2


@dataclass(frozen=True, slots=True, kw_only=True)
class UserNetwork:
    """A network that a function of the user's makes; equal if all parameters have equal shapes."""

    model: str  # package.module:build
    depth: float = field(compare=False)  # the multipliers it was asked for
    width: float = field(compare=False)
    resolution: int  # pixels per side of the input
    num_classes: int
    channels: int = 3  # of the input: 3 in RGB, 1 in grey, or bands
    shapes: tuple[tuple[int, ...], ...] = field(repr=False)  # of the parameters, in their order
    cost: Cost = field(compare=False)  # traced

    @property
    def aspect(self) -> Aspect:
        """Width of the input by its height: a user's networks see squares."""
        return SQUARE

    @property
    def layers(self) -> int:
        """Convolutions and linear layers: parameters that are not vectors."""
        return sum(len(shape) > 1 for shape in self.shapes)


#: A network that can be costed, built and trained.
Network = Architecture | UserNetwork


class Scalable(Protocol):
    """A base network that can be made deeper, wider and finer."""

    @property
    def resolution(self) -> int:
        """Pixels per side of the base's input."""

    def pixels(self, factor: Number) -> Number:
        """Whole pixels per side of an input `factor` times larger; takes arrays too."""

    def costs(self, depth: np.ndarray, width: np.ndarray, resolution: np.ndarray) -> Cost:
        """Costs at these multipliers and whole resolutions; arrays that broadcast together."""

    def at(self, depth: float, width: float, resolution: int) -> Network:
        """The network at these multipliers; equal values are the same network."""


@dataclass(frozen=True, slots=True)
class Design:
    """An architecture, scaled by a rounding policy."""

    base: Architecture
    rounding: Rounding

    @property
    def resolution(self) -> int:
        """Pixels per side of the base's input."""
        return self.base.resolution

    def pixels(self, factor: Number) -> Number:
        """Whole pixels per side of an input `factor` times larger."""
        return self.rounding.resolution(self.base.resolution, factor)

    def costs(self, depth: np.ndarray, width: np.ndarray, resolution: np.ndarray) -> Cost:
        """Costs at these multipliers and resolutions, in closed form."""
        return scaled_costs(
            self.base, depth=depth, width=width, resolution=resolution, rounding=self.rounding
        )

    def at(self, depth: float, width: float, resolution: int) -> Architecture:
        """The architecture at these multipliers."""
        return scale(
            self.base, depth=depth, width=width, resolution=resolution, rounding=self.rounding
        )


def cost_of(network: Network) -> Cost:
    """What one image costs in a network."""
    return cost(network) if isinstance(network, Architecture) else network.cost


def network_digest(network: Network) -> str:
    """What tells a network from all others, in a few letters that stay the same for ever."""
    plain = network.to_dict() if isinstance(network, Architecture) else asdict(network)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def price(measure: CostMeasure, network: Network) -> float:
    """What a network costs in a measure.

    Raises:
        InvalidSetting: if the measure is told by a design alone, and this is a user's network, or
            if it is measured on a device.
    """
    if isinstance(network, Architecture) and not measure.reads:
        return float(measure.of(network))
    return float(measure.count(cost_of(network)))


def effective(base: Network, network: Network) -> Growth:
    """What depth, width and resolution really became after rounding.

    Of a design, depth is the mean growth of the stages' blocks and width the geometric mean growth
    of the stages' channels, each stage weighted by its share of the base's multiply-adds, so that
    depth * width**2 * resolution**2 comes near the measured growth. Of a user's network, depth is
    the growth of the number of convolutions and linear layers, and width what then explains the
    measured growth.

    Raises:
        ValueError: if the two are not of one family.
    """
    resolution = network.resolution / base.resolution
    if isinstance(base, Architecture) and isinstance(network, Architecture):
        if len(base.stages) != len(network.stages):
            raise ValueError("two designs with different numbers of stages are no family")
        shares = _shares(base)
        pairs = list(zip(base.stages, network.stages, strict=True))
        depth = sum(s * b.depth / a.depth for s, (a, b) in zip(shares, pairs, strict=True))
        logs = sum(s * log(b.width / a.width) for s, (a, b) in zip(shares, pairs, strict=True))
        return Growth(round(depth, 12), round(exp(logs), 12), resolution)
    if isinstance(base, UserNetwork) and isinstance(network, UserNetwork):
        depth = network.layers / base.layers
        growth = network.cost.macs / base.cost.macs
        return Growth(depth, sqrt(growth / (depth * resolution**2)), resolution)
    raise ValueError("a design and a user's network are no family")


def _shares(base: Architecture) -> Sequence[float]:
    """Each stage's share of the multiply-adds of all stages."""
    macs = [part.macs for name, part in part_costs(base) if name.startswith("stage")]
    total = sum(macs)
    return [own / total for own in macs] if total else [1 / len(macs)] * len(macs)
