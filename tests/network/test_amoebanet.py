from __future__ import annotations

import pytest
import torch

from autoscale.network.measuring.trace import traced_cost
from experiments.latency.amoebanet import AmoebaNet, amoebanet_b


def on_meta() -> AmoebaNet:
    with torch.device("meta"):
        return amoebanet_b()


def test_gpipes_network_has_557_million_parameters() -> None:
    # Huang et al. 2019 print 557M; 557.298M is the sum over the released code's cells.
    assert sum(p.numel() for p in on_meta().parameters()) == 557_298_440


@pytest.mark.parametrize(("resolution", "billions"), [(480, 299.4), (331, 151.0)])
def test_gpipes_network_traced(resolution: int, billions: float) -> None:
    counted = traced_cost(on_meta(), resolution=resolution)
    assert counted.params == 557_298_440
    assert counted.macs / 1e9 == pytest.approx(billions, abs=0.05)


@pytest.mark.parametrize("size", [64, 65, 97])
def test_a_small_one_classifies_even_and_odd_images(size: int) -> None:
    network = amoebanet_b(cells=3, filters=16, num_classes=5).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, size, size)).shape == (2, 5)
