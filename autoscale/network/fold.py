"""Batch norm folded into the convolution before it, as every runtime for deployment does."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_norms(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, without the batch norms that directly follow a convolution.

    Only neighbours in a plain `nn.Sequential` are folded, because only there the order of the
    children is the order of the computation. Outputs are the same up to rounding.
    """
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            _fold_neighbours(module)
    return folded


def _fold_neighbours(row: nn.Sequential) -> None:
    before: tuple[str, nn.Conv2d] | None = None
    for name, module in list(row.named_children()):
        if isinstance(module, nn.BatchNorm2d) and before is not None and _folds(module):
            place, conv = before
            setattr(row, place, fuse_conv_bn_eval(conv, module))
            setattr(row, name, nn.Identity())
        before = None
        # A subclass need not be linear in its weights.
        if type(module) is nn.Conv2d and not _hooked(module):
            before = name, module


def _folds(norm: nn.BatchNorm2d) -> bool:
    return norm.running_mean is not None and not _hooked(norm)


def _hooked(module: nn.Module) -> bool:
    """Whether somebody listens to the module, or it shares its weights by a parametrization."""
    return bool(module._forward_hooks or module._forward_pre_hooks) or hasattr(
        module, "parametrizations"
    )
