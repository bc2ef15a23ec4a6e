"""A network that gives weights to others, and what it computes on the images they are fitted by.

One donor gives weights to many networks, as in a search. What does not depend on them is worked out
once: what its layers read, the inverses of their covariances, and the channels of an axis that
several networks cut to the same width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from autoscale.design.architecture import Architecture
from autoscale.design.style import Style
from autoscale.network.build import Network, build
from autoscale.network.inheritance.correspondence import require_kindred
from autoscale.network.inheritance.rebuild import (
    Moments,
    Reader,
    Rebuilt,
    input_moments,
    reduce_channels,
)
from autoscale.network.inheritance.refit import arriving
from autoscale.network.weights import class_rows, load_weights

#: Bytes of results that are kept: of all sizes of images together, and the choices among them.
KEPT, KEPT_CHOICES = 2**30, 2**28
_BATCH = 64  # images whose moments are taken at once

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Results by what they are of; those that were asked for last, as far as memory allows.

    Args:
        size: bytes of one, asked anew each time, for what is worked out later counts too.
        most: bytes of all; the last one is kept whatever it takes.
    """

    def __init__(self, size: Callable[[V], int], *, most: int) -> None:
        self._size, self._most = size, most
        self._found: OrderedDict[K, V] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(map(self._size, self._found.values()))

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The result of `key`, made if it is not kept."""
        if key not in self._found:
            self._found[key] = make()
        self._found.move_to_end(key)
        while len(self._found) > 1 and self.size > self._most:
            self._found.popitem(last=False)
        return self._found[key]


class Donor:
    """A network of a known design with its weights.

    Args:
        state: its state dict, under our names or those of a library in `naming.NAMINGS`.
        style: padding and epsilon that the weights expect.

    Raises:
        InvalidSetting: if the design has blocks that cannot give weights, or `state` is not of it
            or holds what is no number.
    """

    def __init__(
        self, state: Mapping[str, Tensor], architecture: Architecture, *, style: Style | None = None
    ) -> None:
        require_kindred(architecture, "source")
        self.architecture = architecture
        self.network = _with_weights(state, architecture, style or Style())
        #: What it can give, under our names.
        self.state: Mapping[str, Tensor] = self.network.state_dict()
        if class_rows(state) is None:
            self.state = {n: v for n, v in self.state.items() if not n.startswith("head.class")}
        self._observed: Recent[Hashable, Observations] = Recent(lambda found: found.size, most=KEPT)

    def observed(self, key: Hashable, images: Callable[[], Tensor]) -> Observations:
        """What it does with images, looked at once for each key while memory allows.

        Args:
            key: of the images; the same key stands for the same images.
            images: see `Observations`; asked for when they are needed.
        """
        return self._observed.get(key, lambda: Observations(self, images()))


class Observations:
    """What a donor computes on some images, worked out when it is first asked for.

    Args:
        images: normalised, (N, C, H, W), on the CPU.
    """

    def __init__(self, donor: Donor, images: Tensor) -> None:
        self.images = images
        self._donor = donor
        self._moments: dict[str, Moments] | None = None
        self._arriving: dict[str, Tensor] | None = None
        self._reduced: Recent[Hashable, tuple[Tensor, list[Rebuilt]]] = Recent(
            lambda found: sum(map(_bytes, [found[0], *(r.weight for r in found[1])])),
            most=KEPT_CHOICES,
        )

    @property
    def moments(self) -> dict[str, Moments]:
        """Of what each 1x1 convolution and linear layer reads, by its name."""
        if self._moments is None:
            self._moments = input_moments(self._donor.network, self.images.split(_BATCH))
        return self._moments

    @property
    def arriving(self) -> Mapping[str, Tensor]:
        """What stem, blocks and the head's convolution read, by their names; not to be changed."""
        if self._arriving is None:
            self._arriving = arriving(self._donor.network, self.images)
        return self._arriving

    def reduced(
        self, layers: Sequence[str], kept: Sequence[Tensor], count: int
    ) -> tuple[Tensor, list[Rebuilt]]:
        """The `count` channels that some layers need most, see `rebuild.reduce_channels`.

        Args:
            layers: names of those that read the channels.
            kept: of each the outputs that matter.
        """
        key = (tuple(layers), tuple(tuple(rows.tolist()) for rows in kept), count)
        return self._reduced.get(key, lambda: self._reduce(layers, kept, count))

    def _reduce(
        self, layers: Sequence[str], kept: Sequence[Tensor], count: int
    ) -> tuple[Tensor, list[Rebuilt]]:
        readers = [
            Reader(
                self._donor.state[f"{layer}.weight"].double().flatten(1), self.moments[layer], rows
            )
            for layer, rows in zip(layers, kept, strict=True)
        ]
        return reduce_channels(readers, count)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return (
            self._reduced.size
            + _bytes(self.images)
            + sum(map(_bytes, (self._arriving or {}).values()))
            + sum(2 * _bytes(found.covariance) for found in (self._moments or {}).values())
        )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _with_weights(state: Mapping[str, Tensor], architecture: Architecture, style: Style) -> Network:
    """The donor, its weights found complete, finite and of the right shapes."""
    classes = class_rows(state)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        known = replace(architecture, num_classes=classes or architecture.num_classes)
        network = build(known, **style.options)
    load_weights(network, state, rows=[None] * known.num_classes if classes is None else None)
    return network.eval()
