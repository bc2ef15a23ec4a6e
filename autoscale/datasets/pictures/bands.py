"""Arrays of bands as images: .npy files, and TIFF of more bands than colours."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autoscale.aspect import ImageSize, image_size
from autoscale.datasets.pictures.framing import DecodedPicture, frame_of, framed
from autoscale.datasets.pictures.preparation import MOST_BANDS, Preparation
from autoscale.distribution import install

#: What files of `numpy.save` begin with, and TIFF of both orders of bytes and of large files.
_NPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: The largest number of 16 bits, and the most bytes of the array in a TIFF.
_MOST, _LARGEST = 65535, 2**29


class OtherBands(ValueError):
    """What has not the bands that a network takes; the message says what it has."""


def is_array(content: bytes) -> bool:
    """Whether bytes are a .npy file; TIFF may be a picture too."""
    return content.startswith(_NPY)


def decode_bands(content: bytes, size: int, preparation: Preparation) -> DecodedPicture:
    """An array of bands as an image of `size` pixels in height, of the preparation's aspect.

    Numbers of 8 bits stay; of 16 bits v becomes the whole number nearest to 255 v / white level,
    and 255 where v is above it. What the area takes of each band is resized as a grey picture is.

    Args:
        content: a .npy file or TIFF of (H, W, C) or (C, H, W), or (H, W) of one band; unsigned
            whole numbers of 8 or 16 bits. Where both could be, the bands are last.

    Raises:
        OtherBands: if it has others than the preparation, or is another kind of file.
        ValueError: if it is damaged or of other numbers.
        Exception: others that the reader of TIFF raises for damaged files.
    """
    values = _bands_last(_array(content), preparation.channels)
    height, width, channels = values.shape
    peak = None
    if values.dtype == np.uint16:
        peak, white = int(values.max()), preparation.white_level
        levels = np.minimum((np.arange(_MOST + 1) * 255 + white // 2) // white, 255)
        values = levels.astype(np.uint8)[values]
    wanted = image_size(size, preparation.aspect)
    frame = frame_of(preparation.area, (0, 0, width, height), width, height, wanted)
    pixels = np.empty((wanted.height, wanted.width, channels), dtype=np.uint8)
    for band in range(channels):
        plane = Image.fromarray(np.ascontiguousarray(values[..., band]))
        pixels[..., band] = np.asarray(framed(plane, frame, wanted, preparation))
    return DecodedPicture(pixels, ImageSize(height, width), peak)


def bands_in(content: bytes) -> int | None:
    """How many bands an array has; None of pictures and of what cannot be read.

    Of TIFF only what is no picture in grey or colours is an array.
    """
    try:
        if is_array(content):
            return _count(_array(content).shape)
        if content.startswith(_TIFF):
            count = _count(_read_tiff(content).shape)
            return None if count in (1, 3, 4) or count > MOST_BANDS else count
    except Exception:  # damaged files make the reader of TIFF raise nearly anything
        return None
    return None


def _array(content: bytes) -> NDArray[Any]:
    """Unsigned whole numbers of 8 or 16 bits, of 2 or 3 axes, none of them empty."""
    if is_array(content):
        values = _read_npy(content)
    elif content.startswith(_TIFF):
        values = _read_tiff(content)
    else:
        raise OtherBands("no array of bands (.npy or TIFF); take it out of the arrays")
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise ValueError(
            f"its numbers are {values.dtype}, and bands are uint8 or uint16; scale them by a range "
            "that holds for all files, as ((x - low) / (high - low) * 65535).astype('uint16')"
        )
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(f"its shape is {values.shape}; bands are (H, W, C) or (C, H, W)")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _read_npy(content: bytes) -> NDArray[Any]:
    """What `numpy.save` wrote, without running or allocating what its header says."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"a .npy file of version {version[0]}, which holds no bands; save again")
    read = np.lib.format.read_array_header_1_0
    if version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    shape, turned, kind = read(file)
    start, count = file.tell(), int(np.prod(shape, dtype=object))
    if kind.hasobject or count * kind.itemsize != len(content) - start:
        raise ValueError(f"its header tells of {shape} {kind}, and it holds something else")
    values = np.frombuffer(content, kind, count, start)
    return values.reshape(shape, order="F" if turned else "C")


def _read_tiff(content: bytes) -> NDArray[Any]:
    """The first image of a TIFF, or its pages of one shape as bands."""
    try:
        import tifffile
    except ModuleNotFoundError:
        raise ValueError(f"TIFF of bands needs the package tifffile: {install('tiff')}") from None
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        first = file.series[0]
        if first.nbytes > _LARGEST:
            raise ValueError(
                f"its {first.shape} {first.dtype} are over the {_LARGEST >> 20} MiB for an array; "
                "cut it into smaller ones"
            )
        values: NDArray[Any] = first.asarray()
    return values


def _count(shape: tuple[int, ...]) -> int:
    """About how many bands an array has: its first or its last side, whichever is less."""
    return 1 if len(shape) == 2 else min(shape[0], shape[-1])


def _bands_last(values: NDArray[Any], channels: int) -> NDArray[Any]:
    """Shape (H, W, `channels`)."""
    if values.ndim == 2 and channels == 1:
        return values[..., None]
    if values.ndim == 3 and values.shape[-1] == channels:
        return values
    if values.ndim == 3 and values.shape[0] == channels:
        return np.moveaxis(values, 0, -1)
    count = _count(values.shape)
    raise OtherBands(
        f"an array {values.shape} of {count} band{'s' if count > 1 else ''}, and the network takes "
        f"{channels} channels; take it out, or give the design or space channels: {count}"
    )
