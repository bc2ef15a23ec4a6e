"""Batch norm's statistics, estimated again after weights have changed.

A network that was cut or whose weights were averaged normalises by what its source saw. Source: Yu
& Huang 2019 (universally slimmable networks), section 3.3: the exact mean of the moments of a few
batches instead of a moving one.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autoscale.errors import InvalidSetting


def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running mean and variance of every batch norm to the mean of the batches' moments.

    Nothing else changes: no weight, no mode, no momentum, no count of training steps. Dropout is
    off meanwhile. Each batch counts alike, so give them one size.

    Args:
        batches: normalised images, (N, C, H, W), on the network's device, augmented as they will be
            in training; some 20 batches of 32 to 64 suffice.

    Raises:
        InvalidSetting: if there are no batches, or one is a single image whose last map is one
            pixel; the network is then unchanged.
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    modes = [(module, module.training) for module in network.modules()]
    momenta = [norm.momentum for norm in norms]
    before = [{name: b.clone() for name, b in norm.named_buffers()} for norm in norms]
    seen = 0
    try:
        network.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a plain mean over all batches
            norm.train()
        with torch.no_grad():
            for batch in batches:
                network(batch)
                seen += 1
        if not seen:
            raise InvalidSetting("no images to take the statistics of; give at least one batch")
    except BaseException as problem:
        for norm, buffers in zip(norms, before, strict=True):
            norm.load_state_dict(buffers, strict=False)
        if isinstance(problem, ValueError) and "more than 1 value per channel" in str(problem):
            raise InvalidSetting(
                "a batch of one image has no variance where the map is one pixel; give at least 2"
            ) from None
        raise
    finally:
        for norm, momentum, buffers in zip(norms, momenta, before, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(buffers["num_batches_tracked"])
        for module, mode in modes:
            module.training = mode
