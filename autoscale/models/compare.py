"""Designs and families side by side, with the accuracies that others published for them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from autoscale.design.published import FAMILIES
from autoscale.design.published.accuracy import ACCURACIES
from autoscale.errors import InvalidSetting
from autoscale.models.count import count

_ACCURACIES = {found.network: found for found in ACCURACIES}


def compare(names: Sequence[str | Path], *, convention: str = "paper") -> pd.DataFrame:
    """One row for each network, in the given order and a family's from its smallest on.

    Args:
        names: families (`efficientnet`), or whatever `count` takes by name.
        convention: what flops means: paper (multiply-adds of convolutions and linear layers),
            biases, fvcore or two-flops.

    Returns:
        Columns: family ("" outside of one), network, resolution, flops, macs, params, activations,
        memory (bytes), top1 (percent; missing if nobody published one) and source.

    Raises:
        InvalidSetting: if nothing is named or something is not known.
        InvalidArchitecture: if a file is no design.
    """
    if not names:
        families = ", ".join(FAMILIES)
        raise InvalidSetting(f"name at least one design or family; families are {families}")
    rows = []
    for name in map(str, names):
        family = name if name in FAMILIES else ""
        for network in FAMILIES.get(name, [name]):
            counted = count(network)
            known = _ACCURACIES.get(network)
            row = {"family": family, **counted.row(convention), "resolution": counted.resolution}
            row["top1"] = known.top1 if known else None
            row["source"] = known.source if known else ""
            rows.append(row)
    columns = [
        "family", "network", "resolution", "flops", "macs", "params", "activations", "memory",
        "top1", "source",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype({"top1": float})
