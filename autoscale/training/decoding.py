"""Pictures as square images of one size."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from autoscale.errors import DataProblem
from autoscale.training.pictures import Pictures

#: Of what `_decode` makes of a picture. Images that were kept under another one are not used.
VERSION = 1

# Formats that Pillow reads without running another program; the content decides, not the extension.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_DECODERS = 2  # threads; Pillow decodes outside the interpreter lock
_CHUNK = 256  # pictures handed to the decoders at a time


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pictures as images, without those that could not be read."""

    pixels: NDArray[np.uint8]  # (N, S, S, 3), in the order of the pictures
    unread: Mapping[int, str]  # position among the pictures -> the reason, one line


class Keep(Protocol):
    """A place that keeps images for later calls and for other processes."""

    def __call__(
        self, name: str, shape: tuple[int, ...], chunks: Callable[[], Iterator[Decoded]]
    ) -> Decoded | None:
        """The images called `name`; None if they cannot be kept.

        Args:
            name: changes with whatever decides the images.
            shape: (N, S, S, 3) if every picture can be read.
            chunks: makes the images, in order, with positions among all pictures; not called for
                images that are there.
        """


def decode(pictures: Pictures, size: int, *, strict: bool, keep: Keep | None) -> Decoded:
    """All pictures as images of `size` pixels per side.

    Raises:
        DataProblem: if `strict` and a picture cannot be read; if memory does not suffice.
    """

    def chunks() -> Iterator[Decoded]:
        for chunk in _chunks(pictures, size):
            if strict and chunk.unread:
                raise _refusal(pictures, chunk)
            yield chunk

    shape = (len(pictures), size, size, 3)
    decoded = keep(_content(pictures, size), shape, chunks) if keep else None
    if decoded is None:
        decoded = _in_memory(shape, chunks())
    if strict and decoded.unread:
        raise _refusal(pictures, decoded)
    return decoded


def _refusal(pictures: Pictures, decoded: Decoded) -> DataProblem:
    position, reason = next(iter(decoded.unread.items()))
    return DataProblem(
        f"{pictures.names[position]}: {reason}; repair the file or load without strict"
    )


def _in_memory(shape: tuple[int, ...], chunks: Iterator[Decoded]) -> Decoded:
    try:
        pixels = np.empty(shape, dtype=np.uint8)
    except MemoryError as error:
        raise DataProblem(
            f"{shape[0]} images of {shape[1]} pixels need {np.prod(shape) / 1e9:.0f} GB of memory; "
            "lower size or set limit"
        ) from error
    unread: dict[int, str] = {}
    count = 0
    for chunk in chunks:
        pixels[count : count + len(chunk.pixels)] = chunk.pixels
        count += len(chunk.pixels)
        unread |= chunk.unread
    return Decoded(pixels[:count], unread)


def _content(pictures: Pictures, size: int) -> str:
    """A name of what the pictures hold, in order, and of what becomes of them here."""
    digest = hashlib.sha256(f"{VERSION}, Pillow {PIL.__version__}".encode())
    for i in range(len(pictures)):
        try:
            content = pictures.read(i)
        except Exception as error:  # decoding will meet it again, and say so
            content = f"unreadable: {error}".encode()
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return f"{len(pictures)}x{size}-{digest.hexdigest()[:24]}"


def _chunks(pictures: Pictures, size: int) -> Iterator[Decoded]:
    def one(i: int) -> NDArray[np.uint8] | str:
        try:
            return _decode(pictures.read(i), size)
        except MemoryError:
            raise
        except UnidentifiedImageError:
            return f"not an image ({', '.join(FORMATS)})"
        except Exception as error:  # damaged files make Pillow raise nearly anything
            return (str(error) or type(error).__name__).splitlines()[0]

    with ThreadPoolExecutor(_DECODERS) as pool:
        for start in range(0, len(pictures), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(pictures)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                found = dict(zip(chunk, pool.map(one, chunk), strict=True))
            images = [image for image in found.values() if not isinstance(image, str)]
            yield Decoded(
                np.stack(images) if images else np.empty((0, size, size, 3), dtype=np.uint8),
                {i: reason for i, reason in found.items() if isinstance(reason, str)},
            )


def _decode(content: bytes, size: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        image.draft("RGB", (size, size))  # JPEG: decode at 1/2, 1/4 or 1/8 where that is enough
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("F"):
            raise ValueError(f"its pixels have more than 8 bits (mode {image.mode})")
        if image.mode.startswith("I"):
            upright = _eight_bits(image).convert("RGB")
        elif image.has_transparency_data:
            seen = image.convert("RGBA")
            upright = Image.new("RGB", seen.size, "white")
            upright.paste(seen, mask=seen)
        else:
            upright = image.convert("RGB")
    width, height = upright.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    square = (left, top, left + side, top + side)
    shrunk = upright.resize((size, size), Image.Resampling.BILINEAR, box=square)
    return np.asarray(shrunk)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits, or of more if its numbers fit in 16, with black and white kept."""
    values = np.asarray(image).astype(np.int64)
    least, most = values.min(), values.max()
    if least < 0 or most > 65535:
        raise ValueError(f"its pixels have more than 16 bits ({least} to {most})")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
