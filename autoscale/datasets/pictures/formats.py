"""Which files are pictures: by their first bytes, never by their names."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile, UnidentifiedImageError

#: Formats that Pillow reads without running another program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
#: What else a folder of pictures is found to hold, by how it begins.
_OTHERS = (
    # The general brands are AVIF's too, which then is named among the others.
    ("HEIC, as telephones write it", rb".{4}ftyp(hei|hev|m(if|sf)1(?!.{0,48}avi[fs]))"),
    ("JPEG XL", rb"\xff\x0a|\x00{3}\x0cJXL "),
    ("JPEG 2000", rb"\x00{3}\x0cjP  |\xff\x4f\xff\x51"),
    ("a Photoshop file", rb"8BPS"),
    ("a page (PDF or PostScript)", rb"%PDF|%!PS"),
    ("a drawing (SVG)", rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg"),
    ("a raw photograph", rb"FUJIFILMCCD-RAW|II\*\x00.{4}CR\x02|.{4}ftypcrx|IIRO|IIU\x00"),
    ("a video", rb".{4}ftyp(?!avi|m(if|sf)1)|\x1a\x45\xdf\xa3|RIFF.{4}AVI "),
    ("an archive", rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!"),
    ("a Parquet file", rb"PAR1"),
)
#: What a file holds whose picture never arrived, how it begins, and what to do.
_MISSING = (
    ("an empty file", rb"\Z", "fetch it again"),
    ("a pointer of Git LFS", rb"version https://git-lfs", "git lfs pull fetches the pictures"),
    ("a web page", rb"\s*(?i:<!doctype html|<html)", "fetch it again"),
)
_BEGINNING = 1024  # bytes in which a format shows
_REDUCED = 1  # bit of TIFF's kind of a page: a smaller version of another page
_KIND_OF_PAGE = 254  # a tag of TIFF


class NoPicture(ValueError):
    """A file that holds no picture of one of `FORMATS`; the message says what it is."""


@contextmanager
def opened(content: bytes) -> Iterator[ImageFile.ImageFile]:
    """A picture of which the head is read.

    It may be of any size: who decodes it looks to the memory first.

    Raises:
        NoPicture: if it is none.
    """
    if other := _other(content):
        raise NoPicture(f"not an image that is read but {other}; convert it to JPEG or PNG")
    for name, begin, remedy in _MISSING:
        if re.match(begin, content[:_BEGINNING]):
            raise NoPicture(f"not an image but {name}; {remedy}")
    with _any_size():
        try:
            image = Image.open(io.BytesIO(content), formats=_known())
        except UnidentifiedImageError:
            raise NoPicture(f"not an image ({', '.join(FORMATS)})") from None
        with image:
            if _is_thumbnail(image):
                raise NoPicture(
                    "not an image that is read but a raw photograph with its thumbnail; convert it "
                    "to JPEG or PNG"
                )
            yield image


def is_of_a_format(content: bytes) -> bool:
    """Whether bytes begin like a picture, or like a file of another program that is known."""
    if _other(content) is not None:
        return True
    try:
        with Image.open(io.BytesIO(content), formats=_known()):
            return True
    except UnidentifiedImageError:
        return False
    except Exception:  # damaged pictures make Pillow raise nearly anything
        return True


def _other(content: bytes) -> str | None:
    """What a file is that is none of `FORMATS`, where its beginning tells."""
    beginning = content[:_BEGINNING]
    return next((name for name, begin in _OTHERS if re.match(begin, beginning, re.DOTALL)), None)


def _is_thumbnail(image: ImageFile.ImageFile) -> bool:
    """Whether the first page of a TIFF stands for a later one, as in cameras' raw files."""
    kind = image.tag_v2.get(_KIND_OF_PAGE) if image.format == "TIFF" else None  # type: ignore[attr-defined]
    return isinstance(kind, int) and bool(kind & _REDUCED)


def _known() -> tuple[str, ...]:
    """Those of `FORMATS` that this build of Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


_guard = threading.Lock()
_inside = 0
_limit: int | None = None


@contextmanager
def _any_size() -> Iterator[None]:
    """Pillow's own limit of pixels, one number for the whole process, is lifted meanwhile."""
    global _inside, _limit
    with _guard:
        if _inside == 0:
            _limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _inside += 1
    try:
        yield
    finally:
        with _guard:
            _inside -= 1
            if _inside == 0:
                Image.MAX_IMAGE_PIXELS = _limit
