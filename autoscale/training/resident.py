"""Images that stay on a graphics card, and windows cut out of them there.

A small network on a fast card waits for its images. Stored bytes are copied there once; a batch is
then two products of matrices for each image, which resize, mirror and reflect in one go.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoscale.aspect import ImageSize

#: Of the card's free memory: what images may take, so that the training finds the rest.
SHARE = 0.4


def fits(pixels: NDArray[np.uint8], device: torch.device) -> bool:
    """Whether the images may stay on this device: a graphics card with room for them."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return pixels.nbytes <= SHARE * free


class ResidentCut:
    """A `crops.Cut` of one set of images that lies on a device.

    Bytes differ from `crops.cut`'s by at most two where a window is resized, by nothing where it is
    not: torch's arithmetic there is of integers, here of float32, each rounded twice.
    """

    def __init__(self, pixels: NDArray[np.uint8], device: torch.device) -> None:
        self._stored = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)

    def __call__(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        windows: NDArray[np.int32],
        mirrored: NDArray[np.bool_],
        size: ImageSize,
    ) -> Tensor:
        """Windows as `Cut` says, whole numbers in float32, on the device.

        `pixels` must be the images given before; they are not read again.
        """
        assert len(pixels) == len(self._stored)
        device, (high, wide) = self._stored.device, self._stored.shape[1:3]
        top, left, height, width = torch.from_numpy(windows).to(device).T
        rows_of = shares(top, height, size.height, high)
        columns_of = shares(left, width, size.width, wide)
        flipped = torch.from_numpy(mirrored).to(device)[:, None, None]
        columns_of = torch.where(flipped, columns_of.flip(1), columns_of)
        chosen = self._stored[torch.from_numpy(rows).to(device)].permute(0, 3, 1, 2).float()
        narrow = (chosen @ columns_of[:, None].mT).add_(0.5).floor_()
        cut = (rows_of[:, None] @ narrow).add_(0.5).floor_().clamp_(0, 255)
        return cut.contiguous(memory_format=torch.channels_last)


def shares(start: Tensor, length: Tensor, wanted: int, side: int) -> Tensor:
    """What each stored pixel of a line gives to each pixel of the resized window.

    Antialiased linear interpolation; a window that reaches over the border sees the line reflected.

    Args:
        start, length: (B,), pixels.
        wanted: pixels of the resized window.
        side: those stored.

    Shape of the result: (B, wanted, side), rows that sum to 1.
    """
    position = torch.arange(int(length.max()), device=start.device)
    scale = length[:, None, None] / wanted
    centre = scale * (torch.arange(wanted, device=start.device)[:, None] + 0.5)
    distance = (position + 0.5 - centre).abs() / scale.clamp(min=1)
    weights = (1 - distance).clamp(min=0) * (position < length[:, None, None])
    weights = weights / weights.sum(2, keepdim=True)
    source = (start[:, None] + position).abs()  # reflected at the first pixel
    source = torch.where(source < side, source, 2 * (side - 1) - source).clamp(0, side - 1)
    found = torch.zeros(len(start), wanted, side, device=start.device)
    return found.scatter_add_(2, source[:, None].expand(weights.shape).long(), weights)
