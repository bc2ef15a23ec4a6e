"""Latency of a network from its operations, so that candidates need not all be timed.

What eager torch runs is a row of operations, and the time of a network is the sum of theirs. An
operation of one kind takes a fixed time, plus a time for each multiply-add, each number that it
reads or writes, and each weight. Those rates are fitted once for a device, to networks that were
measured there; a sum of operations is then priced: a network, a stage or a block.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.fold import fold_norms

#: A kind of operation, and what of it takes time: "calls", "macs", "numbers" or "weights".
Feature = tuple[str, str]
#: Most networks that a table is fitted to.
MOST_MEASUREMENTS = 500
#: Views of the same memory take no time of their own.
_VIEWS = frozenset({"view", "t", "_unsafe_view", "alias", "detach", "expand", "transpose"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable:
    """What each kind of operation takes on one device, in milliseconds."""

    rates: Mapping[Feature, float]
    error: float  # median of |predicted / measured - 1| over the networks left out in turn
    measurements: int  # networks that it was fitted to

    def predict(self, network: nn.Module | Architecture, *, resolution: int | None = None) -> float:
        """Milliseconds of one pass of one image.

        Args:
            network: anything that runs on images, or a design.
            resolution: pixels per side; an architecture's own, or 224 for a module, if not given.

        Raises:
            InvalidSetting: if it runs a kind of operation that no measured network ran.
        """
        work = operations(network, resolution=resolution)
        known = {kind for kind, _ in self.rates}
        if unknown := sorted({kind for kind, _ in work} - known):
            raise InvalidSetting(
                f"no measured network ran {', '.join(unknown)}; fit the table to networks that do"
            )
        return sum(amount * self.rates.get(feature, 0.0) for feature, amount in work.items())


def fit_latency_table(
    work: Sequence[Mapping[Feature, float]], latencies_ms: Sequence[float], *, folds: int = 10
) -> LatencyTable:
    """Fit the rates to measured networks; none is below 0, and relative errors count.

    Args:
        work: what `operations` says of each network.
        folds: parts of the networks that are left out in turn to state the error.

    Raises:
        InvalidSetting: for too few or too many networks, or a latency that is none.
    """
    count = len(work)
    if count != len(latencies_ms) or not 2 * folds <= count <= MOST_MEASUREMENTS:
        raise InvalidSetting(
            f"a table is fitted to {2 * folds} to {MOST_MEASUREMENTS} networks with one latency "
            f"each, got {count} and {len(latencies_ms)}"
        )
    if not all(math.isfinite(value) and value > 0 for value in latencies_ms):
        raise InvalidSetting("a latency must be finite and above 0")
    features = sorted({feature for row in work for feature in row})
    table = np.array([[row.get(feature, 0.0) for feature in features] for row in work])
    measured = np.array(latencies_ms, dtype=float)
    errors = np.empty(count)
    for fold in range(folds):
        left_out = np.arange(count) % folds == fold
        rates = _fit(table[~left_out], measured[~left_out])
        errors[left_out] = np.abs(table[left_out] @ rates / measured[left_out] - 1)
    rates = _fit(table, measured)
    return LatencyTable(
        rates=dict(zip(features, map(float, rates), strict=True)),
        error=float(np.median(errors)),
        measurements=count,
    )


def _fit(table: NDArray[np.float64], measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates of at least 0 with the least squares of relative errors."""
    scale = table.max(axis=0)
    scale[scale == 0] = 1.0
    rows = table / scale / measured[:, None]
    gram, target = rows.T @ rows, rows.sum(axis=0)
    # A little of each square keeps features apart that always come together.
    gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) / len(gram)
    fitted: NDArray[np.float64] = _nonnegative(gram, target) / scale
    return fitted


def _nonnegative(gram: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x of at least 0 that minimises x' gram x / 2 - target' x, for a positive definite gram.

    Source: Lawson & Hanson 1974, "Solving Least Squares Problems", chapter 23.
    """
    x = np.zeros(len(target))
    free = np.zeros(len(target), dtype=bool)  # the entries that may be above 0
    for _ in range(10 * len(target)):  # far more than it takes
        slope = np.where(free, -np.inf, target - gram @ x)
        if slope.max() <= 1e-10 * np.abs(target).max():
            break
        free[slope.argmax()] = True
        while True:
            best = np.zeros(len(target))
            best[free] = np.linalg.solve(gram[np.ix_(free, free)], target[free])
            below = free & (best <= 0)
            if not below.any():
                x = best
                break
            step = (x[below] / (x[below] - best[below])).min()
            x = x + step * (best - x)
            free &= x > 1e-14
            x[~free] = 0.0
    return x


def operations(
    network: nn.Module | Architecture, *, resolution: int | None = None
) -> dict[Feature, float]:
    """What a network runs for one image in eager mode with folded norms, by kind.

    It runs on the meta device: shapes only, neither time nor memory.
    """
    if isinstance(network, Architecture):
        resolution = resolution or network.resolution
        with torch.device("meta"):
            network = build(network)
    folded = fold_norms(network).to("meta")
    image = torch.empty(1, 3, resolution or 224, resolution or 224, device="meta")
    trace = _Trace()
    with torch.no_grad(), trace:
        folded(image)
    return dict(trace.work)


class _Trace(TorchDispatchMode):
    """Adds up what reaches torch's kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Counter[Feature] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::").rstrip("_")
        if name in _VIEWS:
            return result
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if name == "convolution":
            image, weight = inputs[:2]
            kind = _convolution(image, weight, outputs[0], groups=args[8])
            self.work[kind, "macs"] += outputs[0].numel() * weight[0].numel()
            self.work[kind, "weights"] += weight.numel()
            numbers = image.numel() + outputs[0].numel()
        elif name == "addmm":
            kind = "linear"
            self.work[kind, "weights"] += inputs[2].numel()
            numbers = 0
        else:
            kind = name
            numbers = sum(tensor.numel() for tensor in (*inputs, *outputs))
        self.work[kind, "calls"] += 1
        self.work[kind, "numbers"] += numbers
        return result


def _convolution(image: Tensor, weight: Tensor, out: Tensor, *, groups: int) -> str:
    """Kernels that differ in speed: by form, kernel, stride, and whether a map is left at all."""
    size = weight.shape[-1]
    form = "depthwise" if groups == image.shape[1] and groups > 1 else "full"
    if size == 1 and groups == 1:
        return "pointwise" if out.shape[-1] > 1 else "squeeze"
    stride = -(-image.shape[-1] // out.shape[-1])
    return f"{form} {size}x{size}, stride {stride}"
