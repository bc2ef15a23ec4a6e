"""The announcement's pairs on one core, and one network measured five times.

    OMP_NUM_THREADS=1 python experiments/latency/announcement.py small [eager|onnxruntime]
    OMP_NUM_THREADS=1 python experiments/latency/announcement.py large
    OMP_NUM_THREADS=1 python experiments/latency/announcement.py five

Processor time of one thread, batch 1, the networks of a pair in turns. Random weights.
"""

import sys

from amoebanet import amoebanet_b

from autoscale.design.published import published
from autoscale.devices.timing.latency import Latency, measure_latencies, measure_latency


def show(name: str, found: Latency) -> None:
    print(
        f"{name:16} {found.median_ms:9.1f} ms, 10-90 % {found.low_ms:9.1f} to {found.high_ms:9.1f},"
        f" standard error {found.standard_error_ms:7.2f}, {found.repeats} passes",
        flush=True,
    )


def pair(slow: str, fast: str, found: list[Latency], announced: float) -> None:
    show(slow, found[0])
    show(fast, found[1])
    ratio = found[0].median_ms / found[1].median_ms
    print(f"ratio {ratio:.2f}, announced {announced}", flush=True)


what, *options = sys.argv[1:]
if what == "small":
    for fold in (True, False) if options == ["eager"] else (True,):
        print(f"{options[0]}, batch norms {'folded' if fold else 'apart'}")
        networks = [published("resnet-152"), published("efficientnet-b1")]
        found = measure_latencies(networks, clock="cpu", runtime=options[0], fold=fold, repeats=15)
        pair("ResNet-152", "EfficientNet-B1", found, 5.7)
elif what == "large":
    amoebanet = measure_latency(amoebanet_b(), resolution=480, clock="cpu", repeats=5)
    show("AmoebaNet-B", amoebanet)
    b7 = measure_latency(published("efficientnet-b7"), clock="cpu", repeats=5)
    pair("AmoebaNet-B", "EfficientNet-B7", [amoebanet, b7], 6.1)
else:
    found = [measure_latency(published("efficientnet-b0"), repeats=40) for _ in range(5)]
    for latency in found:
        show("EfficientNet-B0", latency)
    print("each agrees with each:", all(a.agrees_with(b) for a in found for b in found))
