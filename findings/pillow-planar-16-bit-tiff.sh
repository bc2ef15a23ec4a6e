#!/usr/bin/env bash
# Pillow 13.0.0 opens an uncompressed 16-bit RGB TIFF whose colours lie in three planes
# (PlanarConfiguration 2, as scanners and microscopes write it), raises nothing, and gives other
# pixels than are in the file. The same picture with its colours interleaved comes out right, with
# the high byte of each number, and so does the planar one once it is compressed.
# Seen 2026-11-28: see the table that this script prints. It fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import PIL
import tifffile
from PIL import Image

folder = Path(sys.argv[1])
rows, columns = np.mgrid[:24, :40]
picture = np.stack([rows * 2000, columns * 1500, 60000 - rows * 1000], axis=-1).astype(np.uint16)
high_bytes = (picture >> 8).astype(np.uint8)


def right(planar: bool, compression: str | None) -> bool:
    path = folder / "picture.tif"
    pixels = picture.transpose(2, 0, 1) if planar else picture
    config = "separate" if planar else "contig"
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig=config, compression=compression)
    assert np.array_equal(tifffile.imread(path), pixels)  # the file holds what it should
    with Image.open(path) as image:
        got = np.asarray(image.convert("RGB")).astype(int)
    off = np.abs(got - high_bytes)
    print(f"planar {planar}, compression {compression}: mean error {off.mean():.1f} of 255")
    return bool(off.max() == 0)


print("Pillow", PIL.__version__)
seen = {(p, c): right(p, c) for p in (False, True) for c in (None, "zlib")}
print(seen)
assert seen[False, None] and seen[False, "zlib"], "interleaved pictures changed"
assert not seen[True, None], "uncompressed planar pictures are read now"
PYTHON
