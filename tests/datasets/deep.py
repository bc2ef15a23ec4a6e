"""Pictures of 16 bits a channel as files, which Pillow itself does not write in colour."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np


def deep_png(values: np.ndarray, *, key: tuple[int, ...] | None = None) -> bytes:
    """A PNG of `values`, of uint16 (H, W, 1 to 4); `key` is what it calls transparent."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    if key is not None:
        chunks.append((b"tRNS", struct.pack(f">{len(key)}H", *key)))
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def deep_tiff(
    values: np.ndarray,
    *,
    order: str = "<",
    planes: bool = False,
    compressed: bool = False,
    extra: int | None = None,
    orientation: int = 1,
    kind_of_page: int = 0,
) -> bytes:
    """A TIFF of `values`, of uint16 (H, W, 3 or 4).

    Args:
        planes: colours apart instead of pixel by pixel.
        extra: what the fourth number is: 1 opacity, in which colours are multiplied, or 2 opacity.
        kind_of_page: 1 for a smaller version of another page.
    """
    height, width, channels = values.shape
    raw = values.astype(f"{order}u2")
    parts = [raw[..., i].tobytes() for i in range(channels)] if planes else [raw.tobytes()]
    if compressed:
        parts = [zlib.compress(part) for part in parts]
    offsets = [8 + sum(map(len, parts[:i])) for i in range(len(parts))]
    end = (8 + sum(map(len, parts)) + 1) // 2 * 2
    longs: dict[int, list[int]] = {
        254: [kind_of_page],
        256: [width],
        257: [height],
        273: offsets,
        278: [height],
        279: [len(part) for part in parts],
    }
    shorts: dict[int, list[int]] = {
        258: [16] * channels,
        259: [8 if compressed else 1],
        262: [2],
        274: [orientation],
        277: [channels],
        284: [2 if planes else 1],
        339: [1] * channels,
    }
    if extra is not None:
        shorts[338] = [extra]
    tags: list[tuple[int, int, Any]] = sorted(
        [(tag, 4, found) for tag, found in longs.items()]
        + [(tag, 3, found) for tag, found in shorts.items()]
    )
    more_at = end + 2 + 12 * len(tags) + 4
    more = b""
    entries = struct.pack(f"{order}H", len(tags))
    for tag, kind, found in tags:
        data = struct.pack(f"{order}{len(found)}{'H' if kind == 3 else 'I'}", *found)
        if len(data) > 4:
            place, more = struct.pack(f"{order}I", more_at + len(more)), more + data
        else:
            place = data.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(found)) + place
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", end)
    body = b"".join(parts).ljust(end - 8, b"\0")
    return start + body + entries + struct.pack(f"{order}I", 0) + more
