"""fvcore's count of a network as a second opinion, and why it differs from ours where it does.

fvcore watches another level of torch: the operators of a traced graph, before they are taken apart
into kernels. It has a rule for some of them and leaves the others out. So it is asked twice: with
its own rules, and with a rule as well for each operator that it leaves out and we count. The second
answer must be our numbers exactly; what lies between the answers is what fvcore leaves out. Only of
einsum, which it counts by a formula of its own, ours is what remains of all multiply-adds.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn

from autoscale.aspect import SQUARE, Aspect
from autoscale.design.cost import CONVENTIONS, Cost
from autoscale.network.image import blank
from autoscale.network.measuring.trace import evaluating, plain_attention, without_jit_warnings

#: fvcore's names of what it counts.
PRODUCTS = ("conv", "linear", "addmm", "matmul", "mm", "bmm")
NORMS = ("batch_norm", "group_norm", "layer_norm", "instance_norm")
RESAMPLING = ("upsample_nearest2d", "upsample_bilinear2d", "grid_sampler")


@dataclass(frozen=True)
class FvcoreCount:
    """What fvcore's FlopCountAnalysis says of one image in a network.

    Attributes:
        parts: its flops for each child of the network; "" is what the network runs itself.
        operators: its flops for each operator: multiply-adds of ``conv`` and ``linear``; norms,
            ``adaptive_avg_pool2d`` and others in fvcore's own measure.
        left_out: calls of each operation that it does not count, those left out that it holds to
            be free.
    """

    parts: Mapping[str, int]
    operators: Counter[str]
    left_out: Counter[str]

    @property
    def total(self) -> int:
        """Of the whole network."""
        return int(self.operators.total())


def fvcore_count(network: nn.Module, *, resolution: int, aspect: Aspect = SQUARE) -> Counter[str]:
    """The flops that fvcore counts for one image, by operator; see `fvcore_analysis`."""
    return fvcore_analysis(network, resolution=resolution, aspect=aspect).operators


def fvcore_analysis(
    network: nn.Module,
    *,
    resolution: int,
    aspect: Aspect = SQUARE,
    rules: Mapping[str, Callable[..., int]] | None = None,
) -> FvcoreCount:
    """fvcore's own count of one image; the network keeps its mode.

    Args:
        network: takes images of `image.image_shape`.
        resolution, aspect: of the image: pixels of its height, and its width by that.
        rules: counts of operators in the place of fvcore's own, from the graph's values that go in
            and come out. With them torch's attention runs as its single layers, as `traced_cost`
            sees it.

    Raises:
        Exception: whatever the network raises, or torch's tracer, which fvcore uses.
    """
    image = blank(network, resolution, aspect)
    with ExitStack() as stack:
        for context in (without_jit_warnings(), evaluating(network), torch.no_grad()):
            stack.enter_context(context)
        if rules:
            stack.enter_context(plain_attention())
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network, image)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.set_op_handle(**(rules or {}))
        operators: Counter[str] = analysis.by_operator()
        parts = {name: int(analysis.total(name)) for name, _ in network.named_children()}
        parts[""] = int(operators.total()) - sum(parts.values())
        return FvcoreCount(parts, operators, Counter(analysis.unsupported_ops()))


# What we count, as rules for fvcore.


def _shape(value: Any) -> Sequence[int]:
    sizes: Sequence[int] = value.type().sizes()
    return sizes


def _numbers_in(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    return prod(_shape(inputs[0]))


def _attention(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    query, key, value = map(_shape, inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _product(first: int) -> Callable[..., int]:
    """Multiply-adds of a product whose left side is input number `first`."""
    return lambda inputs, outputs: prod(_shape(outputs[0])) * _shape(inputs[first])[-1]


#: Operators that fvcore leaves out and we count as multiply-adds.
LEFT_OUT_PRODUCTS: Mapping[str, Callable[..., int]] = {
    "scaled_dot_product_attention": _attention,
    "baddbmm": _product(1),
    "addbmm": _product(1),
    "mv": _product(0),
    "dot": _product(0),
}
#: Operators that are an average over positions, of which fvcore has a rule for one.
POOLS = ("adaptive_avg_pool2d", "adaptive_avg_pool1d", "mean")
OUR_RULES: Mapping[str, Callable[..., int]] = {
    f"aten::{name}": rule
    for name, rule in [
        *LEFT_OUT_PRODUCTS.items(),
        *((name, _numbers_in) for name in (*NORMS, *POOLS)),
    ]
}


@dataclass(frozen=True)
class CountLine:
    """One kind of operation in both counts.

    Attributes:
        what: the kind.
        fvcore: what fvcore says of it.
        ours: what we say of it, by convention.
        reason: why the two may differ.
        explained: whether the same operations were seen on both sides, so that any difference is
            that of the rules.
    """

    what: str
    fvcore: int
    ours: Mapping[str, int]
    reason: str = ""
    explained: bool = True


def compare_counts(
    cost: Cost,
    network: nn.Module,
    *,
    resolution: int,
    priced: Mapping[str, int],
    aspect: Aspect = SQUARE,
) -> list[CountLine]:
    """Our count of a network beside fvcore's, kind by kind; both add up to their totals.

    Args:
        cost: ours, of one image.
        network: takes images of `image.image_shape`.
        resolution, aspect: of the image: pixels of its height, and its width by that.
        priced: multiply-adds in `cost` of operations whose cost the caller gave.

    Raises:
        Exception: whatever the network raises, or torch's tracer, which fvcore uses.
    """
    theirs = fvcore_analysis(network, resolution=resolution, aspect=aspect).operators
    by_our_rules = fvcore_analysis(
        network, resolution=resolution, aspect=aspect, rules=OUR_RULES
    ).operators

    def total(found: Counter[str], names: Sequence[str]) -> int:
        return sum(int(found[name]) for name in names)

    known = {*PRODUCTS, "einsum", *NORMS, "adaptive_avg_pool2d", *RESAMPLING}
    others = [name for name in theirs if name not in known]
    left_out = {name: int(by_our_rules[name]) for name in LEFT_OUT_PRODUCTS}
    products = total(by_our_rules, PRODUCTS)
    rest = int(cost.macs) - products - sum(left_out.values()) - sum(priced.values())
    same = total(theirs, PRODUCTS) == products and (rest == 0 or bool(theirs["einsum"]))
    lines = [
        CountLine(
            "convolutions and products",
            total(theirs, PRODUCTS),
            _as(macs=products + (0 if theirs["einsum"] else rest)),
            "two-flops counts each multiply-add twice" if same else "the two saw different ones",
            same,
        )
    ]
    if theirs["einsum"]:
        why = "fvcore takes the cheapest order of all sums; we count the products that torch runs"
        lines.append(CountLine("einsum", int(theirs["einsum"]), _as(macs=rest), why, rest >= 0))
    for name, macs in left_out.items():
        lines.append(CountLine(name, 0, _as(macs=macs), "fvcore has no rule for it and says 0"))
    for name, macs in priced.items():
        lines.append(CountLine(name, 0, _as(macs=macs), "you gave its cost; fvcore says 0"))
    lines += [
        CountLine(
            "norms",
            total(theirs, NORMS),
            _as(
                norm_inputs=int(cost.norm_inputs),
                layer_norm_inputs=int(cost.layer_norm_inputs),
            ),
            "fvcore counts 2 for each number that a batch norm takes in, 1 if it has no weights, "
            "and 5 of other norms, 4 without weights; our convention fvcore counts 2 and 5",
            total(by_our_rules, NORMS) == cost.norm_inputs + cost.layer_norm_inputs,
        ),
        CountLine(
            "averages over positions",
            int(theirs["adaptive_avg_pool2d"]),
            _as(pool_inputs=int(cost.pool_inputs)),
            "fvcore counts the numbers that adaptive_avg_pool2d takes in and leaves out a mean; "
            "our convention fvcore counts both, others neither",
            total(by_our_rules, POOLS) == cost.pool_inputs,
        ),
        CountLine("resampling", total(theirs, RESAMPLING), _as(), "we hold it to be free"),
        CountLine(
            "added biases", 0, _as(bias_adds=int(cost.bias_adds)), "fvcore never counts them"
        ),
    ]
    for name in others:
        lines.append(CountLine(name, int(theirs[name]), _as(), "we know no such rule", False))
    return [line for line in lines if line.fvcore or any(line.ours.values())]


def _as(**fields: int) -> dict[str, int]:
    """What the conventions make of these fields of a `Cost`."""
    return {name: int(convention(Cost(**fields))) for name, convention in CONVENTIONS.items()}
