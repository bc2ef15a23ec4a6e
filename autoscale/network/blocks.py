"""The pieces of a network, each a small module that reads like its diagram.

Shapes are (N, channels, height, width). Padding is symmetric, `kernel // 2`, so a layer of stride s
maps a side of n pixels to ceil(n / s); `pad_same` pads as TensorFlow instead.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "hswish": nn.Hardswish,
    "gelu": nn.GELU,
}


def activation(name: str) -> nn.Module:
    """A fresh activation module, working in place where it can."""
    kind = ACTIVATIONS[name]
    return kind() if kind is nn.GELU else kind(inplace=True)


class SamePad(nn.Module):
    """Zeros around a map as TensorFlow's "same": with stride 2, more below and right than above.

    A convolution of `kernel` and `stride` without padding of its own comes after it.

    Shape: (N, C, H, W) -> (N, C, H + h, W + w), so that the convolution gives ceil(H / stride) rows
    and ceil(W / stride) columns.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for side in (x.shape[-1], x.shape[-2]):
            total = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return functional.pad(x, pads)

    def precedes(self, conv: nn.Conv2d) -> bool:
        """Whether it pads a map for this convolution, which pads nothing itself."""
        sides = {*conv.kernel_size}, {*conv.stride}, {*conv.padding}
        return sides == ({self.kernel}, {self.stride}, {0})

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"


def pad_same(network: nn.Module) -> None:
    """Give every strided convolution TensorFlow's padding; with stride 1 both paddings agree.

    The convolutions stay plain `nn.Conv2d` under their names: other tools look for that type.
    """
    for module in network.modules():
        children = dict(module.named_children())
        conv = next(iter(children.values()), None)
        if (
            isinstance(module, nn.Sequential)
            and isinstance(conv, nn.Conv2d)
            and conv.stride != (1, 1)
        ):
            pad = SamePad(conv.kernel_size[0], conv.stride[0])
            conv.padding = (0, 0)
            for name in children:
                delattr(module, name)
            for name, child in {"pad": pad, **children}.items():
                module.add_module(name, child)


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, and the activation if one is named.

    Shape: (N, width_in, H, W) -> (N, width_out, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        act: str | None = None,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(width_out),
        ]
        super().__init__(*layers, *([activation(act)] if act else []))


class PatchPad(nn.Module):
    """Zeros below and right of a map, as many as it takes for whole patches of `kernel` pixels.

    Shape: (N, C, H, W) -> (N, C, H + h, W + w), both sides multiples of `kernel`.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        right, below = -x.shape[-1] % self.kernel, -x.shape[-2] % self.kernel
        return functional.pad(x, (0, right, 0, below)) if right or below else x

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}"


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each pixel.

    Shape: (N, width, H, W) unchanged. Source: Ba et al. 2016; epsilon as Liu et al. 2022.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """A factor for each channel, `initial` at first.

    Shape: (N, width, H, W) unchanged. Source: Touvron et al. 2021.
    """

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.view(-1, 1, 1)


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hsigmoid": functional.hardsigmoid,
}


class SqueezeExcite(nn.Module):
    """Re-weight channels by what the whole map shows.

    Shape: (N, width, H, W) unchanged. Source: Hu et al. 2018; Howard et al. 2019 for "hsigmoid".
    """

    def __init__(self, width: int, squeeze: int, *, act: str, gate: str = "sigmoid") -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(width, squeeze, 1)
        self.act = activation(act)
        self.expand = nn.Conv2d(squeeze, width, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * GATES[self.gate](self.expand(self.act(self.reduce(self.pool(x)))))


class DropPath(nn.Module):
    """Drop whole samples of a residual branch with probability `p` while training.

    What is kept is divided by the probability of keeping it. Source: Huang et al. 2016
    (stochastic depth).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p  # as torch's dropout calls it

    def forward(self, x: Tensor) -> Tensor:
        return x * self.draw(x) if self.training else x

    def draw(self, x: Tensor) -> Tensor:
        """What each sample of `x` is multiplied by: (N, 1, 1, 1)."""
        keep = 1 - self.p
        kept = torch.empty((x.shape[0], 1, 1, 1), dtype=x.dtype, device=x.device)
        return kept.bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


class Residual(nn.Module):
    """The sum of a branch and a shortcut, then an activation if one is given."""

    def __init__(
        self,
        branch: nn.Module,
        shortcut: nn.Module,
        *,
        drop_path: float = 0.0,
        act: str | None = None,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.shortcut = shortcut
        self.act = activation(act) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.drop_path(self.branch(x)) + self.shortcut(x))
        return out


def row(**modules: nn.Module) -> nn.Sequential:
    """Modules one after another, by their names."""
    return nn.Sequential(OrderedDict(modules))
