"""The kernels that must agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autoscale.jobs.names import BFLOAT16_KERNELS
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.kernels import library
from autoscale.network.kernels.compiled import NativeKernels
from autoscale.network.kernels.kernels import Kernels
from autoscale.network.kernels.library import compile_kernels, compiler


@pytest.fixture(params=["native", "torch"])
def kernels(request: pytest.FixtureRequest) -> Kernels:
    if request.param == "native" and compiler() is None:
        pytest.skip("there is no C++ compiler here")
    loaded = load_kernels(request.param)
    assert loaded is not None
    return loaded


@pytest.fixture(scope="session")
def portable(tmp_path_factory: pytest.TempPathFactory) -> NativeKernels:
    """Compiled for any processor."""
    folder = tmp_path_factory.mktemp("portable")
    libraries: dict[torch.dtype, Path] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "_ATTEMPTS", (("-std=c++17", "-O1", "-shared", "-fPIC"),))
        for maps in (torch.float32, torch.bfloat16):
            libraries[maps] = folder / f"{maps}.so"
            compile_kernels(libraries[maps], maps=maps)
    return NativeKernels(libraries)


@pytest.fixture(params=["this processor", "any processor"])
def narrow_kernels(request: pytest.FixtureRequest) -> NativeKernels:
    """With maps in bfloat16, for this processor and without its instructions."""
    if request.param == "any processor":
        found = request.getfixturevalue("portable")
    else:
        found = load_kernels(BFLOAT16_KERNELS)
    assert isinstance(found, NativeKernels)
    return found
