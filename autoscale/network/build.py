"""An architecture becomes an `nn.Module`."""

import math
from typing import get_args

from torch import Tensor, nn

from autoscale.design.architecture import Architecture
from autoscale.design.style import Padding
from autoscale.design.walk import walk
from autoscale.errors import InvalidSetting
from autoscale.network import blocks
from autoscale.network.modules_of import block_call, head_calls, stem_calls


class Network(nn.Module):
    """Stem, blocks and head of one architecture.

    Shape: (N, C, H, W) -> (N, num_classes) logits; any H and W of at least 1 pixel work, counts
    hold for the architecture's resolution.
    """

    def __init__(self, stem: nn.Module, stages: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.stem = stem
        self.stages = stages
        self.head = head

    @property
    def parts(self) -> dict[str, tuple[nn.Module, ...]]:
        """The modules from the input to the classifier, which is the last part."""
        head = dict(self.head.named_children())
        classifier = head.pop("classifier")
        stages = {f"stage {number}": (row,) for number, row in enumerate(self.stages, start=1)}
        return {
            "stem": (self.stem,),
            **stages,
            "head": tuple(head.values()),
            "classifier": (classifier,),
        }

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
    network = Network(
        stem_module(architecture),
        _stages(architecture, drop_path),
        head_module(architecture, dropout),
    )
    if padding == "same":
        blocks.pad_same(network)
    initialise(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum, module.eps = norm_momentum, norm_eps
    return network


def stem_module(architecture: Architecture) -> nn.Module:
    """The stem of a design, its weights as torch gives them."""
    first, others = stem_calls(architecture)
    stem = first.make()
    for name, call in others.items():
        stem.add_module(name, call.make())
    return stem


def _stages(architecture: Architecture, drop_path: float) -> nn.Sequential:
    stages = nn.Sequential(*[nn.Sequential() for _ in architecture.stages])
    for position, block in enumerate(walk(architecture)):
        rate = drop_path * position / architecture.depth
        row = stages[block.stage]
        assert isinstance(row, nn.Sequential)
        row.append(block_call(block.layout, block.width_in, drop_path=rate).make())
    return stages


def head_module(architecture: Architecture, dropout: float = 0.0) -> nn.Sequential:
    """The head of a design, its weights as torch gives them."""
    head = nn.Sequential()
    for name, call in head_calls(architecture).items():
        if name == "classifier" and dropout > 0:
            head.add_module("dropout", nn.Dropout(dropout))
        head.add_module(name, call.make())
    return head


def initialise(network: nn.Module) -> None:
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
