"""CPU-seconds of taking weights over, for the first network of a resolution and for later ones.

python experiments/transfer/cost.py clothing efficientnet-lite0-57934424.pth
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from autoscale.design.cost import cost
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.jobs.inheritance import Inheritance
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.start import Start
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent
from autoscale.network.build import build

#: Width multiplier of Lite0 and pixels, in the order in which they begin.
NETWORKS = ((0.35, 64), (0.35, 64), (0.5, 64), (0.5, 96), (0.5, 96), (0.35, 96))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder of classes")
    parser.add_argument("weights", help="of EfficientNet-Lite0")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    start = Start.for_many(SearchSettings(weights=asked.weights))
    preparation, style = start.expected.preparation, start.expected.style
    source = ImageSource(data=asked.data)
    images = source.load(size=96, test=False, listener=Silent(), preparation=preparation)
    inheritance = Inheritance(start, images, seed=0)
    lite = replace(published("efficientnet-lite0"), num_classes=len(images.classes))
    for width, pixels in NETWORKS:
        design = scale(lite, width=width, depth=1.0, resolution=pixels)
        network = build(design, **style.options)
        began = time.process_time()
        inheritance.into(network, design)
        seconds = time.process_time() - began
        print(f"{width} x Lite0, {pixels} px, {cost(design).macs / 1e6:.1f}M: {seconds:.1f} s")


if __name__ == "__main__":
    main()
