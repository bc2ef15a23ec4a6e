"""What the tests of jobs share: speeds that need not be measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoscale.jobs.workers import estimate
from autoscale.jobs.workers.proxy import Proxy
from autoscale.scaling.scalable import Network


@pytest.fixture(autouse=True, scope="module")
def told_pace() -> Iterator[None]:
    """Speeds as if they had been measured: two networks are timed before each search and grid.

    The tests of whole commands, in `end_to_end`, measure them.
    """

    def pace(proxy: Proxy, network: Network) -> estimate.Pace:
        begin = estimate._beginning(proxy, network, 0.001)
        return estimate.Pace(begin=begin, epoch=0.1, evaluation=0.01)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "pace", pace)
        yield
