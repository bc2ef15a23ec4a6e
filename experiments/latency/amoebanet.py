"""AmoebaNet-B, the network that GPipe scaled to 557 million parameters.

A directed graph of cells, so no `Architecture` describes it. Each cell takes the outputs of the two
cells before it, applies five pairs of operations to earlier states, adds each pair, and
concatenates the states that nothing in the cell used.

Source: Real et al. 2019 (the cells); tensorflow/tpu, models/official/amoeba_net (the network);
Huang et al. 2019, section 4 (18 normal cells, 512 filters, 480 pixels: 84.3 % top-1).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Wiring(NamedTuple):
    """A cell: the operations of its five pairs, the state that each reads, and its output.

    States 0 and 1 are the cell's inputs, state 2 + n is the sum of pair n.
    """

    operations: tuple[str, ...]
    states: tuple[int, ...]
    outputs: tuple[int, ...]  # the states that are concatenated


NORMAL_B = Wiring(
    operations=(
        "1x1", "max_pool_3x3",
        "none", "separable_3x3",
        "1x1", "separable_3x3",
        "1x1", "none",
        "avg_pool_3x3", "1x1",
    ),
    states=(1, 1, 1, 0, 1, 0, 2, 2, 1, 5),
    outputs=(0, 3, 4, 6),
)  # fmt: skip

REDUCTION_B = Wiring(
    operations=(
        "max_pool_2x2", "max_pool_3x3",
        "none", "3x3",
        "separable_5x5", "max_pool_3x3",
        "none", "separable_3x3",
        "avg_pool_3x3", "1x1",
    ),
    states=(0, 0, 2, 1, 2, 2, 3, 1, 4, 3),
    outputs=(5, 6),
)  # fmt: skip


def relu_conv_norm(
    width_in: int, width_out: int, kernel: int = 1, *, stride: int = 1
) -> nn.Sequential:
    """Activation, convolution, batch norm: the cells activate first."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(width_out, eps=1e-3),
    )


def separable_twice(width: int, kernel: int, *, stride: int) -> nn.Sequential:
    """Two depthwise separable convolutions, the first with the stride."""
    layers: list[nn.Module] = []
    for step in (stride, 1):
        layers += [
            nn.ReLU(),
            nn.Conv2d(width, width, kernel, step, kernel // 2, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width, eps=1e-3),
        ]
    return nn.Sequential(*layers)


def operation(name: str, width: int, *, stride: int) -> nn.Module:
    """One operation of a cell, which keeps the width; a full 3x3 works on a quarter of it."""
    if name == "none" and stride == 1:
        return nn.Identity()
    if name in ("none", "1x1"):
        return relu_conv_norm(width, width, stride=stride)
    if name == "3x3":
        quarter = width // 4
        return nn.Sequential(
            relu_conv_norm(width, quarter),
            relu_conv_norm(quarter, quarter, 3, stride=stride),
            relu_conv_norm(quarter, width),
        )
    if name == "max_pool_2x2":
        return nn.MaxPool2d(2, stride, ceil_mode=True)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    return separable_twice(width, int(name[-1]), stride=stride)


class FactorizedReduction(nn.Module):
    """Halve the sides without losing pixels: two 1x1 convolutions on shifted grids.

    Shape: (N, width_in, H, W) -> (N, width, ceil(H / 2), ceil(W / 2)).
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(width_in, width // 2, 1, bias=False)
        self.odd = nn.Conv2d(width_in, width // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        shifted = functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = self.even(x[:, :, ::2, ::2]), self.odd(shifted[:, :, ::2, ::2])
        out: Tensor = self.norm(torch.cat(halves, dim=1))
        return out


class Cell(nn.Module):
    """Five pairs of operations over the outputs of the two cells before.

    Shape: the last map and the one before it, `width_in` and `width_before` channels, to one of
    `self.width_out`. The one before may be twice as large per side (`halve_before`).
    """

    def __init__(
        self, wiring: Wiring, width: int, *, width_in: int, width_before: int, stride: int = 1,
        halve_before: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.wiring = wiring
        self.width_out = width * len(wiring.outputs)
        self.enter = relu_conv_norm(width_in, width)
        self.enter_before: nn.Module = nn.Identity()
        if halve_before:
            self.enter_before = FactorizedReduction(width_before, width)
        elif width_before != width:
            self.enter_before = relu_conv_norm(width_before, width)
        self.operations = nn.ModuleList(
            operation(name, width, stride=stride if state < 2 else 1)
            for name, state in zip(wiring.operations, wiring.states, strict=True)
        )

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        states = [self.enter(x), self.enter_before(before)]
        steps = list(zip(self.operations, self.wiring.states, strict=True))
        for (left, one), (right, other) in zip(steps[::2], steps[1::2], strict=True):
            states.append(left(states[one]) + right(states[other]))
        return torch.cat([states[state] for state in self.wiring.outputs], dim=1)


class AmoebaNet(nn.Module):
    """Stem, two reduction cells, then three groups of normal cells with reductions in between.

    Shape: (N, 3, H, W) -> (N, num_classes) logits. The widths of the cells are a quarter and a half
    of `filters` in the first two, then `filters`, doubled with each reduction.
    """

    def __init__(
        self, normal: Wiring, reduction: Wiring, *, cells: int, filters: int, num_classes: int,
        stem_width: int = 32,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem_width, 3, 2, bias=False), nn.BatchNorm2d(stem_width, eps=1e-3)
        )
        self.cells = nn.ModuleList()
        width_in = width_before = stem_width
        halved = False  # whether the last cell halved the sides

        def append(wiring: Wiring, width: int, *, stride: int) -> None:
            nonlocal width_in, width_before, halved
            cell = Cell(
                wiring,
                width,
                width_in=width_in,
                width_before=width_before,
                stride=stride,
                halve_before=halved,
            )
            self.cells.append(cell)
            width_before, width_in, halved = width_in, cell.width_out, stride > 1

        append(reduction, filters // 4, stride=2)
        append(reduction, filters // 2, stride=2)
        for number in range(cells):
            if number in (cells // 3, 2 * cells // 3):
                filters *= 2
                append(reduction, filters, stride=2)
            append(normal, filters, stride=1)
        self.classifier = nn.Linear(width_in, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(last, before)
        features = functional.relu(last).mean(dim=(2, 3))
        out: Tensor = self.classifier(features)
        return out


def amoebanet_b(*, cells: int = 18, filters: int = 512, num_classes: int = 1000) -> AmoebaNet:
    """AmoebaNet-B, by default GPipe's, for 480 pixels: 557,298,440 parameters.

    The auxiliary classifier, which serves training only, is left out. The first cell reads the
    stem's map twice; both readings are brought to the cell's width here. The released code, read to
    the letter, leaves the second at 32 channels, which is 20,576 parameters less.
    """
    return AmoebaNet(NORMAL_B, REDUCTION_B, cells=cells, filters=filters, num_classes=num_classes)
