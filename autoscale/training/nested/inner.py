"""A network inside a larger one: its weights are the first of the larger one's along each axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.errors import InvalidSetting


def _first(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor[tuple(slice(size) for size in like.shape)]


class Inner:
    """A network that has no weights of its own: the first ones of a larger network's.

    It computes with a copy, taken before each of its steps; so whatever makes a network fast serves
    it too. Batch norm's statistics are its own.

    Attributes:
        network: maps (N, C, H, W) to logits.
        resolution: pixels in height that it sees.
        images: of the training, in the same order, decoded as it sees them; None where it sees the
            larger network's, resized.

    Args:
        outer: the larger network.
        called: names of parameters as they are compared, where they differ between the two.
        part: of a larger parameter what a smaller one has; by default the first entries along each
            axis.

    Raises:
        InvalidSetting: if a parameter has no counterpart that is at least as large.
    """

    def __init__(
        self,
        network: nn.Module,
        outer: nn.Module,
        *,
        resolution: int,
        images: Images | None = None,
        called: Callable[[str], str] = str,
        part: Callable[[Tensor, Tensor], Tensor] = _first,
    ) -> None:
        self.network, self.resolution, self._part = network, resolution, part
        self.images = images
        theirs = {called(name): tensor for name, tensor in outer.named_parameters()}
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        for name, own in network.named_parameters():
            other = theirs.get(called(name))
            if other is None or not _is_first(own, other):
                raise InvalidSetting(f"{name} of a network inside another is not a part of that")
            self._pairs.append((own, other))

    def take(self) -> None:
        """Copy the weights as they are now."""
        with torch.no_grad():
            torch._foreach_copy_(
                [own.detach() for own, _ in self._pairs],
                [self._part(other.detach(), own) for own, other in self._pairs],
            )

    def size_beside(self, images: Tensor, resolution: int, preparation: Preparation) -> ImageSize:
        """Of what it sees of images (N, C, H, W) that may not have their full size yet.

        Args:
            resolution: pixels in height once they have it.
            preparation: of the images.
        """
        height = round(self.resolution * images.shape[-2] / resolution)
        return preparation.image_size(max(1, height))

    def give(self) -> None:
        """Add the gradients to those of the larger network."""
        totals, gradients = [], []
        for own, other in self._pairs:
            if own.grad is None:
                continue
            if other.grad is None:
                other.grad = torch.zeros_like(other)
            totals.append(self._part(other.grad, own))
            gradients.append(own.grad)
        torch._foreach_add_(totals, gradients)


#: The networks of one step, by chance from torch's global generator. They must not depend on
#: earlier epochs, each of which seeds it anew: a training that goes on then draws as the unbroken
#: one.
Paths = Callable[[], Sequence[Inner]]


def first_of(
    outer: Mapping[str, Tensor],
    inner: Mapping[str, Tensor],
    *,
    called: Callable[[str], str] = str,
) -> dict[str, Tensor]:
    """Of a state dict the first entries along each axis, in the shapes and under the names of
    another one.

    Args:
        called: as for `Inner`.
    """
    theirs = {called(name): tensor for name, tensor in outer.items()}
    return {name: _first(theirs[called(name)], tensor).clone() for name, tensor in inner.items()}


def _is_first(own: Tensor, other: Tensor) -> bool:
    return own.ndim == other.ndim and all(
        mine <= most for mine, most in zip(own.shape, other.shape, strict=True)
    )
