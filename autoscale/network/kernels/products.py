"""Products of bfloat16 matrices with one row a pixel, summed in float32.

By the processor's tiles (AMX) or dot products of pairs (AVX512-BF16) where it has them: torch's own
take most of their time for what comes in and goes out of such long and narrow matrices. Else by
torch.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor


class Factor(NamedTuple):
    """A matrix by which rows are multiplied."""

    numbers: Tensor
    columns: int


_P, _N = ctypes.c_void_p, ctypes.c_int64
_ARGUMENTS = {
    "packed_matrix": [_P, _N, _N, _P, _N, _N],
    "multiply_rows": [_P, _P, _P, _P, _P, _N, _N, _N, ctypes.c_int, ctypes.c_int],
    "multiply_columns": [_P, _P, _P, _N, _N, _N, ctypes.c_int, ctypes.c_int],
}


class Way(IntEnum):
    """What multiplies; numbers as in products.cpp."""

    TORCH = 0
    DOTS = 1
    TILES = 2


class Products:
    """The products, by compiled functions for bfloat16 where those say that they can.

    Attributes:
        functions: those of the compiled library.
        way: what multiplies.
    """

    def __init__(self, functions: ctypes.CDLL) -> None:
        self.functions = functions
        self.way = Way(functions.quickest_way())
        if self.way:
            functions.packed_numbers.restype, functions.packed_numbers.argtypes = _N, [_N, _N]
            for name, kinds in _ARGUMENTS.items():
                function = getattr(functions, name)
                function.restype, function.argtypes = None, kinds

    def ready(self, matrix: Tensor) -> Factor:
        """A float32 matrix as `rows` takes it, rounded to bfloat16."""
        depth, columns = matrix.shape
        if not self.way:
            return Factor(matrix.bfloat16(), columns)
        packed = torch.empty(self.functions.packed_numbers(depth, columns), dtype=torch.bfloat16)
        self.functions.packed_matrix(
            matrix.data_ptr(), *matrix.stride(), packed.data_ptr(), depth, columns
        )
        return Factor(packed, columns)

    def rows(
        self, x: Tensor, factor: Factor, target: Tensor, *, added: Tensor | None = None,
        total: Tensor | None = None,
    ) -> bool:  # fmt: skip
        """x times the matrix, plus `added`, in `target`; all of them maps.

        Args:
            total: as for `NativeKernels.measure_more`, to which the result is added if possible.

        Returns:
            Whether it was.
        """
        if not self.way:
            ready, out = factor.numbers, _rows(target)
            if added is None:
                torch.mm(_rows(x), ready, out=out)
            else:
                torch.addmm(_rows(added), _rows(x), ready, out=out)
            return False
        depth = x.shape[-1]
        self.functions.multiply_rows(
            x.data_ptr(), factor.numbers.data_ptr(), None if added is None else added.data_ptr(),
            target.data_ptr(), None if total is None else total.data_ptr(), x.numel() // depth,
            depth, factor.columns, torch.get_num_threads(), self.way,
        )  # fmt: skip
        return True

    def add_columns(self, narrow: Tensor, wide: Tensor, result: Tensor) -> None:
        """Add to `result`, a float32 for each two channels, their products over the pixels."""
        if not self.way:
            result += torch.mm(_rows(narrow).t(), _rows(wide))
            return
        self.functions.multiply_columns(
            narrow.data_ptr(), wide.data_ptr(), result.data_ptr(),
            narrow.numel() // narrow.shape[-1], *result.shape, torch.get_num_threads(), self.way,
        )  # fmt: skip


def _rows(x: Tensor) -> Tensor:
    return x.view(-1, x.shape[-1])
