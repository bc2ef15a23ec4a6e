"""Pictures as images of one size: the one home of what is done to a picture.

In the order of `Preparation`: turned upright by its EXIF orientation, 16 bits scaled to 8, laid on
white where it is transparent, made RGB or grey, its area resized. Arrays: see `bands`.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from autoscale.aspect import SQUARE, ImageSize, image_size, written
from autoscale.datasets.pictures.bands import OtherBands, decode_bands, is_array
from autoscale.datasets.pictures.depth import is_deep, shallow
from autoscale.datasets.pictures.formats import FORMATS as FORMATS
from autoscale.datasets.pictures.formats import opened
from autoscale.datasets.pictures.framing import DecodedPicture, Frame, frame_of, framed
from autoscale.datasets.pictures.pictures import Pictures
from autoscale.datasets.pictures.preparation import OURS, Area, Preparation, in_bands
from autoscale.errors import DataProblem, first_line

#: Of what `decode_one` makes of a picture. Images that were kept under another one are not used.
VERSION = 2

#: A JPEG is reduced while it is read, but to no less than so many times the wanted size. What is
#: left to the resizing then differs by less than one level of 255 from that of the whole picture.
ENOUGH = 6
#: Bytes that all decoders of this process together may take for pictures at full size.
MEMORY = 2 * 2**30
#: By the number of an EXIF orientation, what makes a picture upright.
_TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)  # orientations that make columns of rows
_DECODERS = 2  # threads; Pillow decodes outside the interpreter lock
_COPIES = 4  # bytes at most of an array of bands while it is decoded, by those of its file
_CHUNK = 256  # pictures handed to the decoders at a time


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pictures as images, without those that could not be read."""

    pixels: NDArray[np.uint8]  # (N, H, W, C), in the order of the pictures
    unread: Mapping[int, str]  # position among the pictures -> the reason, one line
    # Of each of the N pictures itself, upright, in pixels; of none where it is not known.
    shapes: tuple[ImageSize, ...] = ()
    peaks: tuple[int, ...] = ()  # the largest number of each of them that has 16 bits


class Keep(Protocol):
    """A place that keeps images for later calls and for other processes."""

    def __call__(
        self, name: str, shape: tuple[int, ...], chunks: Callable[[], Iterator[Decoded]]
    ) -> Decoded | None:
        """The images called `name`; None if they cannot be kept.

        Args:
            name: changes with whatever decides the images.
            shape: (N, H, W, C) if every picture can be read.
            chunks: makes the images, in order, with positions among all pictures; not called for
                images that are there.
        """


def decode(
    pictures: Pictures,
    size: int,
    *,
    strict: bool,
    keep: Keep | None,
    preparation: Preparation = OURS,
) -> Decoded:
    """All pictures as images.

    Args:
        size: pixels of their height; the preparation's aspect gives the width.
        preparation: what is done to them; mean and deviation are left to the network's input.

    Raises:
        DataProblem: if `strict` and a picture cannot be read; if an array has other bands than the
            network takes, or a picture lies among arrays; if memory does not suffice.
    """

    def chunks() -> Iterator[Decoded]:
        for chunk in decoded_chunks(pictures, size, preparation, alike=True):
            if strict and chunk.unread:
                raise _refusal(pictures, chunk)
            yield chunk

    shape = (len(pictures), *image_size(size, preparation.aspect), preparation.channels)
    decoded = keep(_content(pictures, size, preparation), shape, chunks) if keep else None
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
            f"{shape[0]} images of {ImageSize(*shape[1:3])} pixels need "
            f"{np.prod(shape) / 1e9:.0f} GB of memory; lower size or set limit"
        ) from error
    unread: dict[int, str] = {}
    shapes: list[ImageSize] = []
    peaks: list[int] = []
    count = 0
    for chunk in chunks:
        pixels[count : count + len(chunk.pixels)] = chunk.pixels
        count += len(chunk.pixels)
        unread |= chunk.unread
        shapes += chunk.shapes
        peaks += chunk.peaks
    return Decoded(pixels[:count], unread, tuple(shapes), tuple(peaks))


def _content(pictures: Pictures, size: int, preparation: Preparation) -> str:
    """A name of what the pictures hold, in order, and of what becomes of them here."""
    steps = f"{preparation.area}, {preparation.interpolation}, {preparation.white_level}"
    if in_bands(preparation.channels):
        steps += f", {preparation.channels} bands"
    steps += ", grey" if preparation.channels == 1 else ""
    if preparation.aspect != SQUARE:
        steps += f", {written(preparation.aspect)}"
    digest = hashlib.sha256(f"{VERSION}, {steps}, Pillow {PIL.__version__}".encode())
    for i in range(len(pictures)):
        try:
            content = _read(pictures, i)
        except Exception as error:  # decoding will meet it again, and say so
            content = f"unreadable: {error}".encode(errors="backslashreplace")
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return f"{len(pictures)}x{size}-{digest.hexdigest()[:24]}"


def _read(pictures: Pictures, i: int) -> bytes:
    if pictures.sizes[i] > MEMORY:
        raise ValueError(
            f"its {_gib(pictures.sizes[i])} are over the {_gib(MEMORY)} for decoding; make it "
            "smaller, or remove it if it is no picture"
        )
    return pictures.read(i)


def decoded_chunks(
    pictures: Pictures, size: int, preparation: Preparation, *, alike: bool = False
) -> Iterator[Decoded]:
    """The pictures in order, some hundred at a time; positions are among all of them.

    Args:
        alike: refuse what has other bands than the network takes, instead of leaving it unread.

    Raises:
        DataProblem: if `alike`, naming it.
    """

    def one(i: int) -> DecodedPicture | str:
        try:
            return _decoded(_read(pictures, i), size, preparation)
        except MemoryError:
            raise
        except OtherBands as problem:
            if alike:
                raise DataProblem(f"{pictures.names[i]}: {problem}") from None
            return _reason(problem)
        except Exception as error:  # damaged files make Pillow raise nearly anything
            return _reason(error)

    height, width = image_size(size, preparation.aspect)
    nothing = np.empty((0, height, width, preparation.channels), dtype=np.uint8)
    with ThreadPoolExecutor(_DECODERS) as pool:
        for start in range(0, len(pictures), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(pictures)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = dict(zip(chunk, pool.map(one, chunk), strict=True))
            made = [one for one in found.values() if not isinstance(one, str)]
            yield Decoded(
                np.stack([one.pixels for one in made]) if made else nothing,
                {i: reason for i, reason in found.items() if isinstance(reason, str)},
                tuple(one.shape for one in made),
                tuple(one.peak for one in made if one.peak is not None),
            )


def _decoded(content: bytes, size: int, preparation: Preparation) -> DecodedPicture:
    """A picture, or an array of bands, as an image of `size` pixels in height."""
    if not (is_array(content) or in_bands(preparation.channels)):
        return decode_one(content, size, preparation)
    with _memory.taken(_COPIES * len(content), "bands"):
        return decode_bands(content, size, preparation)


def _reason(error: Exception) -> str:
    """Why a picture cannot be read, in a line; of the system's errors without the path again."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or first_line(error)


def decode_one(content: bytes, size: int, preparation: Preparation) -> DecodedPicture:
    """A picture as an image.

    Args:
        size: pixels of its height; the preparation's aspect gives the width.

    Raises:
        Exception: nearly any, if the picture is damaged; the first line of its text is a reason.
        ValueError: if it is no picture, has more than 16 bits a channel, or needs more than
            `MEMORY`.
    """
    with opened(content) as image:
        stored, told = image.size, f"{image.width} x {image.height} pixels"
        wanted = image_size(size, preparation.aspect)
        scale = _scale(image, wanted)
        with _memory.taken(_bytes_needed(image, scale), told):
            pixels, peak = _shrunk(image, content, scale, wanted, preparation)
            # A draft has made a JPEG smaller, and reading may have turned a TIFF.
            shape = _upright(stored if scale > 1 else image.size, _orientation(image))
            image.close()  # before its memory is given to the next one
    return DecodedPicture(pixels, shape, peak)


def _shrunk(
    image: ImageFile.ImageFile,
    content: bytes,
    scale: int,
    size: ImageSize,
    preparation: Preparation,
) -> tuple[NDArray[np.uint8], int | None]:
    """Pixels of shape (H, W, C), and the largest number of a picture of 16 bits."""
    seen = _draft(image, scale)
    plain, peak = _eight_bits(image, content, preparation.white_level)
    orientation = _orientation(image)
    upright = _on_white(_turned(plain, orientation))
    if preparation.channels == 1:
        upright = upright.convert("L")
    frame = _frame(preparation.area, seen, upright.size, orientation, size)
    pixels = np.asarray(framed(upright, frame, size, preparation))
    return pixels.reshape(size.height, size.width, preparation.channels), peak


def _orientation(image: Image.Image) -> int:
    """The number of an EXIF orientation that is left to us; Pillow turns TIFF by itself."""
    if image.format == "TIFF":
        return 1
    found = image.getexif().get(ExifTags.Base.Orientation, 1)
    return found if found in _TURNS else 1


def _upright(stored: tuple[int, int], orientation: int) -> ImageSize:
    """What becomes of width and height as they are stored."""
    width, height = stored
    return ImageSize(width, height) if orientation in _LYING else ImageSize(height, width)


def _eight_bits(
    image: ImageFile.ImageFile, content: bytes, white_level: int
) -> tuple[Image.Image, int | None]:
    """The picture in 8 bits a channel, and its largest number if it has 16."""
    if image.mode.startswith("F"):
        raise ValueError(
            f"its pixels have more than 8 bits (mode {image.mode}): numbers with a point; save it "
            "with 8 or 16 bits a channel"
        )
    if is_deep(image):
        return shallow(image, content, white_level=white_level)
    return image, None


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS[orientation]
    return image if turn is None else image.transpose(turn)


def _on_white(image: Image.Image) -> Image.Image:
    """The picture as RGB."""
    if image.has_transparency_data:
        seen = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", seen.size, "white")
        white.paste(seen, mask=seen)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _frame(
    area: Area,
    seen: tuple[float, float],
    size: tuple[int, int],
    orientation: int,
    wanted: ImageSize,
) -> Frame:
    """What an area takes of an upright picture for an image of the size that is wanted.

    Args:
        seen: width and height, before turning, of what of its pixels is picture.
        size: of all of its pixels, turned.
    """
    width, height = reversed(seen) if orientation in _LYING else seen
    # A part of the last column and row is no picture; turning may have made them the first.
    left = size[0] - width if orientation in (2, 3, 6, 7) else 0
    top = size[1] - height if orientation in (3, 4, 7, 8) else 0
    return frame_of(area, (left, top, left + width, top + height), width, height, wanted)


def _scale(image: ImageFile.ImageFile, wanted: ImageSize) -> int:
    """1, 2, 4 or 8: how much smaller a JPEG is decoded, as far as enough is left of it.

    Of the sides the one decides that is to be reduced less. If memory wants it, it may be less than
    `ENOUGH`.
    """
    if not isinstance(image, JpegImageFile):
        return 1
    shape = _upright(image.size, _orientation(image))

    def has(times: int) -> bool:
        return shape.height >= times * wanted.height and shape.width >= times * wanted.width

    scale = max((s for s in (1, 2, 4, 8) if has(s * ENOUGH)), default=1)
    while scale < 8 and has(2 * scale) and _bytes_needed(image, scale) > MEMORY:
        scale *= 2
    return scale


def _draft(image: ImageFile.ImageFile, scale: int) -> tuple[float, float]:
    """Have a JPEG decoded at 1 / `scale`; width and height of what will be picture, in pixels."""
    if scale > 1:
        drafted = image.draft(None, (image.width // scale, image.height // scale))
        if drafted is not None:
            return drafted[1][2:]
    return image.size


def _bytes_needed(image: ImageFile.ImageFile, scale: int) -> int:
    """About what decoding takes at most, copies on the way to RGB included."""
    pixels = image.width * image.height
    native = 1 if image.mode in ("1", "L", "P") else 4
    needed = native + 4
    if image.has_transparency_data:
        needed += 4
    if is_deep(image):
        needed += 16
    if image.format not in ("JPEG", "MPO", "BMP", "PPM"):
        needed += 4  # of the decoder's own, or of a format's parts
    # What is decoded in passes is kept whole between them.
    passes = 6 * pixels if image.info.get("progressive") else 0
    return needed * pixels // scale**2 + passes


class _Memory:
    """What the decoders of this process share."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._taken = 0  # bytes

    @contextmanager
    def taken(self, needed: int, picture: str) -> Iterator[None]:
        """Wait for so many bytes, and give them back.

        Raises:
            ValueError: if there never are so many.
        """
        if needed > MEMORY:
            raise ValueError(
                f"its {picture} need {_gib(needed)} to be decoded, over the limit of "
                f"{_gib(MEMORY)}; make it smaller, or save it as a baseline JPEG, which is reduced "
                "while it is read"
            )
        with self._condition:
            self._condition.wait_for(lambda: self._taken + needed <= MEMORY)
            self._taken += needed
        try:
            yield
        finally:
            with self._condition:
                self._taken -= needed
                self._condition.notify_all()


_memory = _Memory()


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
