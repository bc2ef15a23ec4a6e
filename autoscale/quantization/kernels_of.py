"""The folded numbers of a built network, as a graph wants them."""

from torch import nn

from autoscale.errors import InvalidSetting
from autoscale.network.fold import fold_norms
from autoscale.quantization.graph import Kernel

#: Ends of a convolution's name within its own little row of modules.
_INNER = (".0", ".conv")


def kernels_of(network: nn.Module) -> list[Kernel]:
    """Of every convolution and linear layer, in the order of the modules.

    Raises:
        InvalidSetting: if a batch norm follows no convolution, so that it cannot be folded.
    """
    kernels = []
    for name, module in fold_norms(network).named_modules():
        if isinstance(module, nn.BatchNorm2d):
            raise InvalidSetting(f"{name} follows no convolution; its batch norm cannot be folded")
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight.detach().float().cpu()
            bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach()
            kernels.append(Kernel(_short(name), weight.numpy(), bias.float().cpu().numpy()))
    return kernels


def _short(name: str) -> str:
    for end in _INNER:
        name = name.removesuffix(end)
    return name
