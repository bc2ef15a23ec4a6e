"""Products and inverses of lower triangular matrices; numpy has none of its own."""

import numpy as np

_SMALL = 128  # rows up to which zeros are not worth leaving out
_LEAF = 16  # rows of a triangle that are inverted as any matrix


def lower_product(
    lower: np.ndarray, right: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """A lower triangular matrix times another, its zeros left out."""
    product = np.empty((len(lower), right.shape[1])) if out is None else out
    for start in range(0, len(lower), _SMALL):
        stop = start + _SMALL
        np.matmul(lower[start:stop, :stop], right[:stop], out=product[start:stop])
    return product


def lower_inverse(lower: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular matrix, by halves."""
    size = len(lower)
    if size > _SMALL:
        cut = size // 2
        return _from_halves(
            lower_inverse(lower[:cut, :cut]), lower[cut:, :cut], lower_inverse(lower[cut:, cut:])
        )
    # Leaves all along the diagonal at once, then those of twice their size, and so on.
    count, width = 1, _LEAF
    while count * width < size:
        count *= 2
    padded = np.eye(count * width)
    padded[:size, :size] = lower
    blocks = padded.reshape(count, width, count, width).swapaxes(1, 2)
    leaves = np.arange(count)
    inverse = np.tril(np.linalg.inv(blocks[leaves, leaves]))
    while len(inverse) > 1:
        count, width = len(inverse), inverse.shape[-1]
        blocks = padded.reshape(count, width, count, width).swapaxes(1, 2)
        upper = np.arange(0, count, 2)
        inverse = _from_halves(inverse[::2], blocks[upper + 1, upper], inverse[1::2])
    return inverse[0, :size, :size]


def _from_halves(top: np.ndarray, below: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Inverses of triangular matrices, from those of their halves and what stands below the first;
    shapes (..., rows, columns)."""
    cut, size = top.shape[-1], top.shape[-1] + bottom.shape[-1]
    inverse = np.zeros((*top.shape[:-2], size, size))
    inverse[..., :cut, :cut] = top
    inverse[..., cut:, cut:] = bottom
    np.negative(bottom @ (below @ top), out=inverse[..., cut:, :cut])
    return inverse
