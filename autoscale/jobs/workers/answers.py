"""Which images a network answered right, as a short text for a journal and back."""

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import RunConflict


def packed(right: NDArray[np.bool_]) -> str:
    """Truth values, one an image, as hexadecimal digits: four images each, the first highest."""
    return np.packbits(right).tobytes().hex()


def unpacked(text: str, count: int) -> NDArray[np.bool_]:
    """The `count` truth values that `packed` made a text of.

    Raises:
        RunConflict: if it does not hold so many.
    """
    try:
        held = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)
    except ValueError:
        held = np.empty(0, dtype=np.uint8)
    if len(held) != -(-count // 8):
        raise RunConflict(
            f"a training's answers are not those to {count} images; restore its journal from a "
            "copy or choose another --run"
        )
    return np.unpackbits(held, count=count).astype(bool)
