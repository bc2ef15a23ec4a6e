"""Do runtimes agree on which network is quicker, and can each be predicted?

    python experiments/device/runtimes.py times times.csv
    python experiments/device/runtimes.py rank times.csv
    python experiments/device/runtimes.py family family.csv

`times` times designs of a space in each runtime and number type that is installed, and adds a
runtime's rows once all its designs are timed; a broken call goes on with the runtimes that are
missing. `rank` fits a table to the first half of the designs and tests it on the other half, and
says how far runtimes order these alike. `family` times the members of two families in all runtimes,
which take turns in every round, and keeps the least of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.latency import fit_latency_table
from autoscale.design.rounding import PAPER, compound
from autoscale.design.workload import workload
from autoscale.devices.runtimes.registry import RUNTIMES
from autoscale.devices.runtimes.runtime import Pass, Subject
from autoscale.devices.timing.conditions import Conditions
from autoscale.devices.timing.latency import measure_latencies
from autoscale.distribution import missing
from autoscale.jobs.search.agreement import kendall
from autoscale.jobs.search.goal import spanning
from autoscale.jobs.search.spaces import load_space
from autoscale.models.count import load_architecture
from autoscale.network.build import build
from autoscale.network.fold import fold_norms

#: Timed passes of each design, as a search times them.
PASSES = 15
#: Rounds of a family, and passes of each network in one, after an untimed one.
ROUNDS, IN_A_ROUND = 12, 5
PHIS = range(5)
BASE = Path(__file__).with_name("halfb0.yaml")


def settings() -> Iterator[Conditions]:
    """What can be timed here: every runtime but the compiler, in float32 and int8."""
    for name, runtime in RUNTIMES.items():
        if name == "compiled" or any(missing(extra) for extra in runtime.extras):
            continue
        for dtype in ("float32", "int8"):
            if dtype in runtime.dtypes:
                yield Conditions(runtime=name, dtype=dtype, clock="cpu")


def time_designs(file: Path, space: str, count: int) -> None:
    """Add the rows of the runtimes that the file lacks."""
    designs = spanning(load_space(space), count)
    known = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["runtime", "dtype"])
    done = set(zip(known["runtime"], known["dtype"], strict=True))
    for asked in settings():
        if (asked.runtime, asked.dtype) in done:
            continue
        begin = time.process_time()
        found = measure_latencies(designs, asked.but(repeats=PASSES))
        frame = pd.DataFrame(
            {
                "space": space,
                "design": range(count),
                "runtime": asked.runtime,
                "dtype": asked.dtype,
                "version": found[0].version,
                "macs": [int(cost(design).macs) for design in designs],
                "steady_ms": [round(one.steady_ms, 4) for one in found],
            }
        )
        frame.to_csv(file, mode="a", header=not file.exists(), index=False)
        print(asked.runtime, asked.dtype, f"{time.process_time() - begin:.0f} s", flush=True)


def rank(file: Path) -> None:
    """Print how well each is predicted, and how far they agree."""
    frame = pd.read_csv(file)
    space, count = frame["space"][0], frame["design"].nunique()
    designs = spanning(load_space(space), count)
    half = count // 2
    work = [workload(design) for design in designs]
    times = {
        f"{runtime} {dtype}": rows.sort_values("design")["steady_ms"].to_numpy()
        for (runtime, dtype), rows in frame.groupby(["runtime", "dtype"], sort=False)
    }
    macs = np.array([float(cost(design).macs) for design in designs])[half:]
    print(f"{space}: fitted to {half}, tested on {count - half}")
    for name, measured in times.items():
        table = fit_latency_table(work[:half], measured[:half].tolist())
        predicted = np.array([table.price(one) for one in work[half:]])
        true = measured[half:]
        errors = np.abs(predicted / true - 1)
        print(
            f"{name}: {np.median(true):.3f} ms, stated error {table.error:.3f}; on the others mean "
            f"{errors.mean():.3f}, median {np.median(errors):.3f}, "
            f"tau {kendall(predicted, true):.3f}; of multiply-adds {kendall(macs, true):.3f}"
        )
    rows = {
        one: {other: round(kendall(a[half:], b[half:]), 2) for other, b in times.items()}
        for one, a in times.items()
    }
    print(pd.DataFrame(rows).to_string())


def families() -> dict[str, list[Architecture]]:
    """EfficientNet-B0 at half its width in five sizes, and the same with ReLU6 and no gates."""
    base = load_architecture(str(BASE))
    plain = replace(
        base,
        stem=replace(base.stem, activation="relu6"),
        head=replace(base.head, activation="relu6"),
        stages=tuple(replace(s, activation="relu6", se_ratio=0.0) for s in base.stages),
    )
    return {
        name: [compound(one, PAPER, phi) for phi in PHIS]
        for name, one in {"silu": base, "relu6": plain}.items()
    }


def ready(design: Architecture, asked: Conditions) -> Pass:
    """The network in a runtime, warm."""
    torch.manual_seed(0)
    run = RUNTIMES[asked.runtime].ready(
        Subject(
            network=fold_norms(build(design)),
            design=design,
            folded=True,
            images=torch.randn(1, 3, design.resolution, design.resolution),
        ),
        asked,
    )
    run()
    return run


def least(run: Callable[[], object]) -> float:
    """Milliseconds of processor time of the quickest pass of a round."""
    run()
    times = []
    for _ in range(IN_A_ROUND):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def time_families(file: Path) -> None:
    """Write the least time of each member in each runtime."""
    rows = []
    for name, members in families().items():
        for phi, design in enumerate(members):
            runs = {(a.runtime, a.dtype): ready(design, a) for a in settings()}
            rounds = [{key: least(run) for key, run in runs.items()} for _ in range(ROUNDS)]
            for (runtime, dtype), _ in runs.items():
                each = [one[runtime, dtype] for one in rounds]
                rows.append(
                    {
                        "family": name,
                        "phi": phi,
                        "resolution": design.resolution,
                        "macs": int(cost(design).macs),
                        "runtime": runtime,
                        "dtype": dtype,
                        "version": RUNTIMES[runtime].version,
                        "least_ms": round(min(each), 4),
                        "median_ms": round(float(np.median(each)), 4),
                    }
                )
            print(name, phi, flush=True)
            pd.DataFrame(rows).to_csv(file, index=False)
    frame = pd.DataFrame(rows)
    frame["how"] = frame["runtime"] + " " + frame["dtype"]
    table = frame.pivot_table(index=["family", "phi", "macs"], columns="how", values="least_ms")
    print(table.round(2).to_string())
    print(table.div(table["onnxruntime float32"], axis=0).round(2).to_string())


def main() -> None:
    """The three parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["times", "rank", "family"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--space", default="mbconv-small")
    parser.add_argument("--designs", type=int, default=120)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.part == "times":
        time_designs(asked.file, asked.space, asked.designs)
    elif asked.part == "rank":
        rank(asked.file)
    else:
        time_families(asked.file)


if __name__ == "__main__":
    main()
