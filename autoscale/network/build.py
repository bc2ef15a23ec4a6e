"""An architecture becomes an `nn.Module`."""

import math
from typing import get_args

from torch import Tensor, nn

from autoscale.design.architecture import Architecture, Stage
from autoscale.design.style import Padding
from autoscale.errors import InvalidSetting
from autoscale.network import blocks


class Network(nn.Module):
    """Stem, blocks and head of one architecture.

    Shape: (N, 3, H, W) -> (N, num_classes) logits; any H and W of at least 1 pixel work, counts
    hold for the architecture's resolution.
    """

    def __init__(self, stem: nn.Module, stages: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.stem = stem
        self.stages = stages
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.stages(self.stem(x)))
        return out


def build(
    architecture: Architecture,
    *,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    norm_momentum: float = 0.1,
    norm_eps: float = 1e-3,
    padding: Padding = "symmetric",
) -> Network:
    """A freshly initialised network.

    Weights come from torch's global generator: seed it first to get the same ones again.

    Args:
        dropout: share of features dropped before the classifier while training.
        drop_path: probability of dropping the last residual branch; it grows from 0 linearly with
            the position of the block (Huang et al. 2016).
        norm_momentum: torch's convention; the papers' 0.99 is 0.01 here, good for long trainings,
            too slow for ones of a few hundred steps.
        padding: of convolutions with a stride. "same" is TensorFlow's, which weights converted from
            there expect: one row and column less above and left than below and right.

    Raises:
        InvalidSetting: if a rate lies outside 0..1, 1 excluded, or there is no such padding.
    """
    if padding not in get_args(Padding):
        raise InvalidSetting(f"padding must be one of {', '.join(get_args(Padding))}: {padding!r}")
    for name, rate in (("dropout", dropout), ("drop_path", drop_path)):
        if not 0 <= rate < 1:
            raise InvalidSetting(f"{name} must lie in 0..1 with 1 excluded, got {rate}")
    stem = blocks.ConvNormAct(
        3,
        architecture.stem.width,
        architecture.stem.kernel,
        stride=architecture.stem.stride,
        act=architecture.stem.activation,
    )
    if architecture.stem.pool:
        stem.add_module("pool", nn.MaxPool2d(3, 2, 1))
    network = Network(stem, _stages(architecture, drop_path), _head(architecture, dropout))
    if padding == "same":
        blocks.pad_same(network)
    _initialise(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum, module.eps = norm_momentum, norm_eps
    return network


def _stages(architecture: Architecture, drop_path: float) -> nn.Sequential:
    width = architecture.stem.width
    position = 0
    stages = nn.Sequential()
    for stage in architecture.stages:
        row = nn.Sequential()
        for number in range(stage.depth):
            rate = drop_path * position / architecture.depth
            stride = stage.stride if number == 0 else 1
            row.append(_block(stage, width, stride=stride, drop_path=rate))
            width = stage.width
            position += 1
        stages.append(row)
    return stages


def _block(stage: Stage, width_in: int, *, stride: int, drop_path: float) -> nn.Module:
    if stage.block == "identity":
        return blocks.match(width_in, stage.width, stride=stride)
    width, kernel, act = stage.width, stage.kernel, stage.activation
    if stage.block in ("bottleneck", "basic"):
        make = blocks.bottleneck if stage.block == "bottleneck" else blocks.basic
        return blocks.Residual(
            make(width_in, width, kernel=kernel, stride=stride, act=act),
            blocks.match(width_in, width, stride=stride),
            drop_path=drop_path,
            act=act,
        )
    squeeze = stage.squeeze(width_in)
    if stage.block in ("mbconv", "fused-mbconv"):
        expanded = blocks.mbconv if stage.block == "mbconv" else blocks.fused_mbconv
        branch = expanded(
            width_in,
            width,
            kernel=kernel,
            stride=stride,
            expand_ratio=stage.expand_ratio,
            squeeze=squeeze,
            act=act,
        )
    else:
        plain = blocks.separable if stage.block == "separable" else blocks.conv
        branch = plain(width_in, width, kernel=kernel, stride=stride, squeeze=squeeze, act=act)
    shortcut = blocks.shortcut(stage.skip, width_in, width, stride=stride)
    return branch if shortcut is None else blocks.Residual(branch, shortcut, drop_path=drop_path)


def _head(architecture: Architecture, dropout: float) -> nn.Sequential:
    head = nn.Sequential()
    if architecture.head.width:
        width_in = architecture.stages[-1].width
        act = architecture.head.activation
        head.add_module("conv", blocks.ConvNormAct(width_in, architecture.head.width, act=act))
    head.add_module("pool", nn.AdaptiveAvgPool2d(1))
    head.add_module("flatten", nn.Flatten())
    if dropout > 0:
        head.add_module("dropout", nn.Dropout(dropout))
    head.add_module("classifier", nn.Linear(architecture.features, architecture.num_classes))
    return head


def _initialise(network: nn.Module) -> None:
    """Normal convolutions by fan-out and a uniform classifier, as the released EfficientNet code.

    Each residual branch that ends in a norm begins at zero (the norm scales by 0; Goyal et al.
    2017, section 5.1): short trainings start as shallow ones and differ less from seed to seed.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / (fan_out // module.groups)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.out_features)
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
        elif isinstance(module, blocks.Residual):
            last = list(module.branch.modules())[-1]
            if isinstance(last, nn.BatchNorm2d):  # before a ReLU, zero would never move
                nn.init.zeros_(last.weight)
