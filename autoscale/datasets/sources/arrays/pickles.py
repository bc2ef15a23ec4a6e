"""Pickled dictionaries of texts, numbers, lists and arrays of bytes, and of nothing else.

A pickle may name anything that is installed and have it called. Here names stand for classes of
this file alone, which hold plain data; every other one is refused before it is looked up.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autoscale.datasets.pictures.pictures import shown
from autoscale.errors import DataProblem, first_line

_MOST = 2**31  # bytes


class _Dtype:
    """What stands for `numpy.dtype`: its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: Any) -> None:
        """Byte order and fields: single bytes have neither."""


class _Array:
    """What stands for `numpy.ndarray` until its numbers come."""

    def __init__(self) -> None:
        self.array: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype) or dtype.name not in ("u1", "|u1"):
            raise ValueError("it holds an array that is not of unsigned bytes")
        content = content.encode("latin-1") if isinstance(content, str) else content
        sides = [side for side in shape if type(side) is int and side >= 0]
        if not isinstance(content, bytes) or len(sides) != len(shape):
            raise ValueError("it holds an array without numbers")
        if math.prod(sides) != len(content):
            raise ValueError(f"its array has {len(content):,} numbers for the shape {sides}")
        flat = np.frombuffer(content, np.uint8)
        self.array = flat.reshape(sides, order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _bytes_of(text: Any = "", encoding: Any = "latin1") -> bytes:
    """What stands for `codecs.encode`, by which Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("it holds a text in another encoding")
    return text.encode("latin-1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _bytes_of,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name.

        Raises:
            ValueError: for every name but those of an array.
        """
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise ValueError(
                f"it asks for {module}.{name}, which no pickle of images needs and is not run"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        """
        Raises:
            ValueError: always.
        """
        raise ValueError("it refers to something outside of it")


def read_pickle(path: Path) -> dict[str, Any]:
    """A pickled dictionary, its keys as texts, and arrays as numpy's.

    Raises:
        DataProblem: if the file holds something else, or cannot be read.
    """
    try:
        if path.stat().st_size > _MOST:
            raise ValueError("over 2 GiB are no batch of images")
        found = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        if not isinstance(found, dict):
            raise ValueError("it holds no dictionary")
    except Exception as problem:  # damaged pickles make the module raise many kinds
        raise DataProblem(
            f"cannot read {shown(path)}: {first_line(problem)}; fetch it again"
        ) from None
    return {
        key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key): (
            value.array if isinstance(value, _Array) else value
        )
        for key, value in found.items()
    }
