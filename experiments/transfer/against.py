"""Two networks of several trainings each, photograph by photograph: which is ahead?

    python experiments/transfer/against.py DATA --own A0 A1 A2 --other B0 B1 B2

DATA is a folder of classes with test images; the others are .safetensors files that `autoscale
train` wrote, of one network each, in the order of their seeds. The interval covers seeds and
photographs (`racing/crossed.py`).
"""

import argparse
from typing import Any

from numpy.typing import NDArray

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.load import load_model
from autoscale.racing.crossed import CrossedLead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--own", nargs="+", required=True)
    parser.add_argument("--other", nargs="+", required=True)
    parser.add_argument("--split", default="test")
    asked = parser.parse_args()
    own = [answers(file, asked.data, asked.split) for file in asked.own]
    other = [answers(file, asked.data, asked.split) for file in asked.other]
    lead = CrossedLead.of(own, other)
    share = macs(asked.own[0]) / macs(asked.other[0])
    assert lead.lead is not None
    print(f"{share:.2f} times the multiply-adds; {lead.pairs} pairs, {lead.images} images")
    print(f"lead {100 * lead.lead:+.1f} points")
    if lead.low is not None and lead.high is not None:
        print(f"95 % interval {100 * lead.low:+.1f} to {100 * lead.high:+.1f}")


def answers(file: str, data: str, split: str) -> NDArray[Any]:
    found = evaluate_model(file, data, split=split)
    print(f"{file}: {found.accuracy:.4f} of {found.images}")
    return found.right


def macs(file: str) -> int:
    design = load_model(file).architecture
    assert isinstance(design, Architecture)
    return cost(design).macs


if __name__ == "__main__":
    main()
