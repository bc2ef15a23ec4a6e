"""Limits on the networks of a grid or a family: which keep all of them, and which are left out."""

from collections import Counter
from collections.abc import Callable, Sequence

from autoscale.design.amounts import several
from autoscale.design.measures.limits import Limit, all_of
from autoscale.scaling.scalable import Network, price

#: Gives the milliseconds of networks on a device.
Timer = Callable[[Sequence[Network]], list[float]]


class Limited:
    """Asked of networks, says which keep every limit, and remembers what the others cost.

    Args:
        limits: all of them are to be kept.
        timer: for a limit on what is measured on a device.
    """

    def __init__(self, limits: Sequence[Limit] = (), timer: Timer | None = None) -> None:
        self.limits = tuple(limits)
        self._timer = timer
        self._costs: dict[Network, list[float]] = {}

    def __call__(self, networks: Sequence[Network]) -> list[bool]:
        """Whether each keeps every limit.

        Raises:
            InvalidSetting: for a limit on what is measured on a device, without one.
        """
        if not self.limits:
            return [True] * len(networks)
        new = [network for network in dict.fromkeys(networks) if network not in self._costs]
        columns = [self._column(limit, new) for limit in self.limits]
        self._costs |= zip(new, map(list, zip(*columns, strict=True)), strict=True)
        return [self.broken(network) is None for network in networks]

    def _column(self, limit: Limit, networks: Sequence[Network]) -> list[float]:
        if not limit.measure.counted and self._timer is not None:
            return self._timer(networks)
        return [price(limit.measure, network) for network in networks]

    def broken(self, network: Network) -> Limit | None:
        """The first limit that a network breaks which was asked about; None if it keeps all."""
        costs = self._costs.get(network, [])
        return next((m for m, cost in zip(self.limits, costs, strict=False) if cost > m.most), None)

    def excess(self, network: Network) -> str:
        """What a network costs that breaks a limit, and which, as "11 ms, over 8 ms"."""
        over = self.broken(network)
        assert over is not None, "it keeps all"
        cost = self._costs[network][self.limits.index(over)]
        return f"{over.measure.exactly(cost)}, over {over.exactly}"

    @property
    def left_out(self) -> str:
        """How many networks broke a limit, and which one first; empty if none did."""
        found = Counter(limit for network in self._costs if (limit := self.broken(network)))
        if not found:
            return ""
        parts = [f"{count} over {limit.exactly}" for limit, count in found.items()]
        return f"{several(found.total(), 'network')} left out: {', '.join(parts)}"

    @property
    def nearest(self) -> str:
        """What that network costs, of those left out, which comes nearest to keeping the limits."""
        costs = min(
            (costs for network, costs in self._costs.items() if self.broken(network)),
            key=lambda costs: max(c / m.most for c, m in zip(costs, self.limits, strict=True)),
        )
        return all_of([m.measure.exactly(c) for m, c in zip(self.limits, costs, strict=True)])
