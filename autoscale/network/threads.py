"""How many threads torch computes with."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from autoscale.errors import InvalidSetting


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """So many threads for torch inside, as many as before afterwards.

    Raises:
        InvalidSetting: for a number that torch does not take.
    """
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
    except (ValueError, OverflowError, RuntimeError):
        raise InvalidSetting(
            f"torch takes no {count} threads; give as many as there are cores, or fewer"
        ) from None
    try:
        yield
    finally:
        torch.set_num_threads(before)
