"""What any module runs for one image, by kind of operation; see `design.workload`.

A design says the same without being built. This reads it off what reaches torch's kernels, for
modules that no design describes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autoscale.aspect import SQUARE, image_size
from autoscale.design.architecture import Architecture
from autoscale.design.workload import Feature, kind_of_conv
from autoscale.network.build import build
from autoscale.network.fold import fold_norms

#: Views of the same memory take no time of their own.
_VIEWS = frozenset(
    {"view", "t", "_unsafe_view", "alias", "detach", "expand", "transpose", "permute", "as_strided"}
)
#: Pixels of an image up to which a network is run in truth, which is quicker than shapes alone.
_SMALL = 64 * 64


def operations(
    network: nn.Module | Architecture, *, resolution: int | None = None
) -> dict[Feature, float]:
    """What a network runs for one image in eager mode with folded norms, by kind.

    On large images, and as a module, it runs on the meta device: shapes only, no memory.
    """
    aspect, device = SQUARE, "meta"
    if isinstance(network, Architecture):
        resolution, aspect = resolution or network.resolution, network.aspect
        size = image_size(resolution, aspect)
        device = "cpu" if size.height * size.width <= _SMALL else "meta"
        with torch.device(device):
            network = build(network)
    folded = fold_norms(network).to(device)
    image = torch.zeros(1, 3, *image_size(resolution or 224, aspect), device=device)
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
            kind = kind_of_conv(
                weight.shape[-1],
                max(image.shape[2:]),
                max(outputs[0].shape[2:]),
                depthwise=args[8] == image.shape[1] and args[8] > 1,
                groups=args[8],
            )
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
