"""Counts of a built network, by watching it run: the second way to the numbers of `design.cost`.

Every operation that reaches torch's kernels while one image passes must be known: it has a cost
(`OPERATIONS`), or it costs nothing under the conventions (`FREE`), or the caller gives it a cost.
Otherwise it is named and nothing is returned, since a silent zero is worse than no count.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autoscale.aspect import SQUARE, Aspect
from autoscale.design.cost import Cost
from autoscale.errors import InvalidSetting
from autoscale.network.image import blank

Shape = tuple[int, ...]
#: From the shapes of an operation's tensors, going in and coming out, to its multiply-adds.
Handle = Callable[[list[Shape], list[Shape]], int]


def traced_cost(
    network: nn.Module,
    *,
    resolution: int,
    aspect: Aspect = SQUARE,
    handles: Mapping[str, Handle] | None = None,
) -> Cost:
    """What one image costs; the network keeps its mode.

    It runs where its parameters live; on the meta device that takes neither time nor memory.

    Args:
        network: takes images of `image.image_shape`.
        resolution, aspect: of the image: pixels of its height, and its width by that.
        handles: costs of operations that are not known here, such as ``{"aten::cumsum": fn}``.

    Raises:
        InvalidSetting: for operations of unknown cost, naming each and the modules that run it.
    """
    total = Cost()
    for _, part in traced_part_costs(
        network, resolution=resolution, aspect=aspect, handles=handles
    ):
        total += part
    return total


def traced_part_costs(
    network: nn.Module,
    *,
    resolution: int,
    aspect: Aspect = SQUARE,
    handles: Mapping[str, Handle] | None = None,
) -> list[tuple[str, Cost]]:
    """The same for each child of `network`, and for what it runs itself, in order of first use.

    Raises:
        InvalidSetting: for operations of unknown cost, naming each and the modules that run it.
    """
    image = blank(network, resolution, aspect)
    trace = _Trace(network, handles or {})
    with evaluating(network), plain_attention(), torch.no_grad(), trace.following(network), trace:
        kept = network(image)
    trace.finish(kept)
    children = dict(network.named_children())
    parts = {name: Cost() for name in trace.order}
    for record in trace.records:
        parts[record.part] += record.cost
    counted: set[nn.Parameter] = set()
    for name in [*parts, *(child for child in children if child not in parts), ""]:
        module = children.get(name, network)
        fresh = [p for p in module.parameters() if p not in counted]
        counted.update(fresh)
        if fresh or name in parts:
            parts[name] = parts.get(name, Cost()) + Cost(params=sum(p.numel() for p in fresh))
    return [(name or type(network).__name__, part) for name, part in parts.items()]


@contextmanager
def without_jit_warnings() -> Iterator[None]:
    """Inside, torch does not say that its script compiler and tracer are deprecated: fvcore uses
    both, the first when it is imported. The kind of the warning differs from release to release."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`?torch\.jit\.\w+`? is", module=r"torch\.jit")
        yield


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode inside; afterwards every module in the mode it had."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def plain_attention() -> Iterator[None]:
    """torch's attention modules run their layers one by one inside, not as one fused operation
    whose parts cannot be seen."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


# The costs of operations, from the tensors that go in and come out.


def _conv(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    image, weight, bias = inputs[:3]
    transposed = inputs[6]
    positions = (image if transposed else outputs[0]).numel()
    numbers = outputs[0].numel()
    return Cost(
        macs=positions * weight[0].numel(),
        activations=numbers,
        bias_adds=0 if bias is None else numbers,
    )


def _product(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    numbers = outputs[0].numel()
    return Cost(macs=numbers * inputs[0].shape[-1], activations=numbers)


def _product_and_bias(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    return _product(inputs[1:], outputs) + Cost(bias_adds=outputs[0].numel())


def _attention(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    query, key, value = inputs[:3]
    scores = math.prod(query.shape[:-1]) * key.shape[-2]
    return Cost(
        macs=scores * (query.shape[-1] + value.shape[-1]),
        activations=scores + outputs[0].numel(),
    )


def _norm(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    return Cost(norm_inputs=inputs[0].numel())


def _layer_norm(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    return Cost(layer_norm_inputs=inputs[0].numel())


def _pool(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    return Cost(pool_inputs=inputs[0].numel())


def _window(inputs: Sequence[Any], outputs: list[Tensor]) -> Cost:
    return Cost()


#: Operations with a cost under some convention.
OPERATIONS: Mapping[str, Callable[[Sequence[Any], list[Tensor]], Cost]] = {
    "aten::convolution": _conv,
    "aten::_convolution": _conv,
    "aten::mm": _product,
    "aten::bmm": _product,
    "aten::mv": _product,
    "aten::dot": _product,
    "aten::addmm": _product_and_bias,
    "aten::baddbmm": _product_and_bias,
    "aten::_scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten::_scaled_dot_product_flash_attention": _attention,
    "aten::_scaled_dot_product_efficient_attention": _attention,
    "aten::native_batch_norm": _norm,
    "aten::_native_batch_norm_legit_no_training": _norm,
    "aten::cudnn_batch_norm": _norm,
    "aten::native_group_norm": _layer_norm,
    "aten::native_layer_norm": _layer_norm,
    "aten::mean": _pool,
    "aten::_adaptive_avg_pool2d": _pool,
    "aten::avg_pool2d": _window,
    "aten::max_pool2d_with_indices": _window,
    "aten::mkldnn_max_pool2d": _window,
}

#: Layers at which the numbers alive are counted; all others work in place of their input.
_LAYERS = frozenset(
    name for name, handle in OPERATIONS.items() if handle not in (_norm, _layer_norm)
)

#: Element by element; comparisons; copies and shapes; new tensors; reductions and softmax.
_FREE_NAMES = """
abs add add_relu clamp clamp_max clamp_min div elu erf exp fmod gelu hardsigmoid hardswish
hardtanh leaky_relu log maximum minimum mish mul neg pow reciprocal relu relu6 rsqrt rsub
sigmoid silu softplus sqrt square sub tanh threshold

eq ge gt isnan le logical_and logical_not logical_or lt masked_fill ne where

alias as_strided cat clone constant_pad_nd contiguous copy detach expand fill flatten flip
gather index index_select lift_fresh narrow permute pixel_shuffle pixel_unshuffle
reflection_pad2d repeat replication_pad2d reshape roll select slice split split_with_sizes
squeeze stack t transpose unbind unfold unsafe_split unsqueeze upsample_nearest2d
view view_as_complex view_as_real _conj channel_shuffle native_channel_shuffle _reshape_alias
_to_copy _unsafe_view

arange bernoulli empty empty_like empty_strided full full_like native_dropout new_empty
new_empty_strided new_full new_ones new_zeros ones ones_like rand rand_like randn randn_like
scalar_tensor uniform zero zeros zeros_like _local_scalar_dense

amax amin argmax max min sum _log_softmax _safe_softmax _softmax
"""

#: Operations that cost nothing under any convention. In-place variants, whose names end in "_",
#: are meant too.
FREE = frozenset(f"aten::{name}" for name in _FREE_NAMES.split())


class _Record(NamedTuple):
    part: str  # the child of the network, "" for its own operations
    cost: Cost


class _Trace(TorchDispatchMode):
    """Watches one forward pass: costs of its operations, and the life of every buffer."""

    def __init__(self, network: nn.Module, handles: Mapping[str, Handle]) -> None:
        super().__init__()
        self.handles = handles
        self.records: list[_Record] = []
        self.order: list[str] = []
        self.unknown: dict[str, Counter[str]] = {}
        self._path: list[str] = [""]
        self._buffers: dict[int, tuple[StorageWeakRef, int]] = {}
        self._sizes: list[int] = []  # numbers in each buffer
        self._lives: list[list[int]] = []  # first and last operation of each buffer
        self._layers: list[tuple[int, str]] = []  # operation and part of each layer
        self._step = 0
        state = [*network.parameters(), *network.buffers()]
        self._state = {self._buffer(tensor) for tensor in state}

    @contextmanager
    def following(self, network: nn.Module) -> Iterator[None]:
        """Knows inside which module of `network` is running."""
        with ExitStack() as stack:
            for name, module in network.named_modules():
                if not name:
                    continue

                def enter(_module: nn.Module, _inputs: Any, name: str = name) -> None:
                    self._path.append(name)

                def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
                    self._path.pop()

                stack.callback(module.register_forward_pre_hook(enter).remove)
                stack.callback(module.register_forward_hook(leave, always_call=True).remove)
            yield

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        part = self._path[-1].split(".")[0]
        for tensor in (*inputs, *outputs):
            self._lives[self._buffer(tensor)][1] = self._step
        cost = self._cost(name, args, inputs, outputs)
        if cost is None:
            self.unknown.setdefault(name, Counter())[self._path[-1]] += 1
        elif name in _LAYERS or name in self.handles:
            self._layers.append((self._step, part))
        if cost is not None and cost != Cost():
            self._record(part, cost)
        self._step += 1
        return result

    def finish(self, kept: Any) -> None:
        """Adds the peaks, once it is known how long each buffer lived.

        Raises:
            InvalidSetting: if an operation's cost is unknown.
        """
        if self.unknown:
            raise InvalidSetting(_unknown(self.unknown))
        for tensor in tree_leaves(kept):
            if isinstance(tensor, Tensor):
                self._lives[self._buffer(tensor)][1] = self._step
        alive = [0] * (self._step + 2)
        for buffer, (first, last) in enumerate(self._lives):
            if buffer not in self._state:
                alive[first] += self._sizes[buffer]
                alive[last + 1] -= self._sizes[buffer]
        for step in range(1, len(alive)):
            alive[step] += alive[step - 1]
        for step, part in self._layers:
            self._record(part, Cost(peak=alive[step]))

    def _record(self, part: str, cost: Cost) -> None:
        if part not in self.order:
            self.order.append(part)
        self.records.append(_Record(part, cost))

    def _cost(
        self, name: str, args: Sequence[Any], inputs: list[Tensor], outputs: list[Tensor]
    ) -> Cost | None:
        if name in self.handles:
            shapes = [tuple(tensor.shape) for tensor in inputs]
            return Cost(macs=self.handles[name](shapes, [tuple(t.shape) for t in outputs]))
        if name in OPERATIONS:
            return OPERATIONS[name](args, outputs)
        return Cost() if name in FREE or name.removesuffix("_") in FREE else None

    def _buffer(self, tensor: Tensor) -> int:
        """The number of the memory behind `tensor`, which its views share."""
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        known = self._buffers.get(reference.cdata)
        if known is not None and not known[0].expired():
            return known[1]
        number = len(self._sizes)
        self._buffers[reference.cdata] = (reference, number)
        # Indices and masks are by-products that inference does not keep.
        numbers = storage.nbytes() // tensor.element_size()
        counts = tensor.is_floating_point() or tensor.is_complex()
        self._sizes.append(numbers if counts else 0)
        self._lives.append([self._step, self._step])
        return number


def _unknown(found: Mapping[str, Counter[str]]) -> str:
    named = []
    for operation, paths in found.items():
        first = next(iter(paths)) or "the network itself"
        more = f" and {len(paths) - 1} more modules" if len(paths) > 1 else ""
        named.append(f"{operation} in {first}{more} (calls: {paths.total()})")
    example = next(iter(found))
    return (
        f"no cost is known for {'; '.join(named)}; give its multiply-adds, 0 if it is free, as "
        f'handles={{"{example}": lambda inputs, outputs: 0}} of lists of shapes, or as '
        f"--op-cost {example}=0"
    )
