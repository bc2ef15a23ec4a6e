"""The gradients of a depthwise convolution, of torch's operations alone.

The gradient of the weights is where torch's time goes. oneDNN, which computes it for torch on x86,
has a fast kernel for depthwise convolutions, but not for all of them: it asks for a filter at most
3 wide, and for a map in which the filter fits. Everything else falls to the kernel of grouped
convolutions, which computes 16 x 16 channels for each 16 that are wanted (ONEDNN_VERBOSE=1 names
them "jit_dw" and "jit"). So other filters are cut into strips that the fast kernel takes.
"""

import torch
from torch import Tensor
from torch.nn import functional

FAST_WIDTH = 3


def depthwise_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, *, wants_input: bool
) -> tuple[Tensor | None, Tensor]:
    """The gradients of input and weight.

    Args:
        gradient: (N, ceil(H / stride), ceil(W / stride), C).
        x: (N, H, W, C), convolved with padding k // 2.
        weight: (C, 1, k, k), k odd.
    """
    kernel = weight.shape[-1]
    padding = kernel // 2
    if kernel <= FAST_WIDTH and x.shape[1] >= kernel + -padding % stride:
        return _backward(gradient, x, weight, stride, (padding,) * 2, (wants_input, True))
    of_x = None
    if wants_input:
        of_x, _ = _backward(gradient, x, weight, stride, (padding,) * 2, (True, False))
    return of_x, _by_strips(gradient, x, kernel, stride)


def _by_strips(gradient: Tensor, x: Tensor, kernel: int, stride: int) -> Tensor:
    """The gradient of the weights (C, 1, k, k), at most 3 columns at a time."""
    _, height, width, channels = x.shape
    rows, columns = gradient.shape[1:3]
    # Weights further from the filter's centre never meet a pixel.
    up, left = min(kernel // 2, height - 1), min(kernel // 2, width - 1)
    below = stride * (rows - 1) + up + 1 - height  # negative: rows that the filter never reaches
    strips = []
    for first in range(0, 2 * left + 1, FAST_WIDTH):
        taken = min(FAST_WIDTH, 2 * left + 1 - first)
        before = left - first
        after = stride * (columns - 1) + taken - before - width
        padding = 0
        if taken == 2 * left + 1:  # one strip is the whole filter: torch's own padding will do
            before, after, padding = 0, 0, left
        seen = functional.pad(x, (0, 0, before, after, up, below))
        weight = x.new_empty(channels, 1, 2 * up + 1, taken)
        _, of_strip = _backward(gradient, seen, weight, stride, (0, padding), (False, True))
        strips.append(of_strip)
    around = (kernel // 2 - left,) * 2 + (kernel // 2 - up,) * 2
    return functional.pad(torch.cat(strips, 3), around)


def _backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    padding: tuple[int, int],
    wanted: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor]:
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient.permute(0, 3, 1, 2), x.permute(0, 3, 1, 2), weight, None, [stride] * 2,
        [*padding], [1, 1], False, [0, 0], len(weight), [*wanted, False],
    )  # fmt: skip
    return of_x.permute(0, 2, 3, 1).contiguous() if wanted[0] else None, of_weight
