"""The arithmetic that both kinds of kernels must give."""

from __future__ import annotations

import pytest

from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.kernels.kernels import Kernels
from autoscale.network.kernels.library import compiler


@pytest.fixture(params=["native", "torch"])
def kernels(request: pytest.FixtureRequest) -> Kernels:
    if request.param == "native" and compiler() is None:
        pytest.skip("there is no C++ compiler here")
    loaded = load_kernels(request.param)
    assert loaded is not None
    return loaded
