"""Image files that were damaged or are unusual: read, skipped by name, or refused if strict."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.robustness.attempts import attempt, is_clear, seeds
from tests.robustness.conftest import Finished
from tests.robustness.mutations import damaged_bytes

NAMES = ("zz.png", "zz", "zz.JPG", ".hidden.jpg", "we ird\n.png", "\x1b[2J.png", "ü✓.png",
         "x" * 200 + ".png", "zz.txt")  # fmt: skip


def drawn(mode: str, rng: random.Random) -> Image.Image:
    size = rng.choice((1, 2, 20)), rng.choice((1, 3, 33))
    return Image.frombytes(mode, size, rng.randbytes(len(Image.new(mode, size).tobytes())))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A small file that says it has `side` x `side` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*one) for one in ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    )


def unusual(rng: random.Random) -> bytes:
    """An image that no camera made."""
    exif = Image.Exif()
    exif[0x0112] = rng.choice((3, 6, 8, 99))
    palette = drawn("P", rng)
    palette.putpalette(rng.randbytes(768))
    frames = [drawn("RGB", rng) for _ in range(3)]
    return rng.choice(
        (
            lambda: saved(drawn("CMYK", rng), "JPEG"),
            lambda: saved(drawn("RGB", rng), "JPEG", exif=exif),
            lambda: saved(drawn("I;16", rng), "PNG"),
            lambda: saved(drawn(rng.choice(("1", "L", "LA", "RGBA")), rng), "PNG"),
            lambda: saved(palette, "PNG", transparency=rng.randbytes(256)),
            lambda: saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
            lambda: saved(drawn(rng.choice(("F", "I", "LAB", "RGB")), rng), "TIFF"),
            lambda: saved(drawn("RGBA", rng), "WEBP", lossless=True),
            lambda: huge_png(rng.choice((0, 20_000, 2**31 - 1))),
            lambda: b"",
            lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run\n",
            lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        )
    )()


@pytest.mark.parametrize("seed", seeds(24, 60))
def test_a_damaged_or_unusual_file_among_the_images_never_hurts(
    whole: Finished, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(f"image {seed}")
    photos = tmp_path / "photos"
    shutil.copytree(whole.photos, photos)
    file = photos / "red" / rng.choice(NAMES)
    kind = rng.random()
    if kind < 0.8:
        content = unusual(rng)
        file.write_bytes(damaged_bytes(content, rng) if rng.random() < 0.5 else content)
    elif kind < 0.9:
        file.symlink_to(rng.choice((file.name, "nowhere", "..")))
    else:
        os.mkfifo(file)
    strict = ["--strict"] if rng.random() < 0.3 else []
    # Images are read before a limit that no network keeps is refused.
    answer = attempt("search-baseline", "--space", "tiny", "--data", photos, "--run",
                     tmp_path / "run", "--resolution", 16, "--max-flops", 1, "--kernels", "torch",
                     *strict)  # fmt: skip
    assert answer.status == 1
    assert is_clear(answer)
    assert "costs at most 1 multiply-add;" in answer.refusal or strict
    assert not (tmp_path / "run").exists()
