"""How many pixels designs of `pixels-or-width` have that cost about what the demonstration's do.

    python experiments/synthetic/pixels.py

`autoscale demo` searches within 500,000 multiply-adds, and checks its baseline, of almost that
cost, against random designs that cost up to half as much again.
"""

from autoscale.design.cost import cost
from autoscale.jobs.search.spaces import load_space

BUDGET = 500_000
space = load_space("pixels-or-width")
costs = [(cost(design).macs, design.resolution) for design in space.enumerate()]
print(f"{len(costs):,} designs")
for name, low, high in (("within", 0, BUDGET), ("beyond", BUDGET, 1.5 * BUDGET)):
    pixels = [resolution for macs, resolution in costs if low < macs <= high]
    few = sum(resolution <= 24 for resolution in pixels)
    print(f"{name} the budget: {len(pixels):,}, of them at most 24 pixels {few / len(pixels):.2f}")
