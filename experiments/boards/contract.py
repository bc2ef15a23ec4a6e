"""Do files for 256 KB of RAM and 512 KB of flash keep within them, in the real interpreter?

Draws designs of the space `mcu` at 64 to 96 pixels that `--board` would admit, writes each as
`export --to litert --dtype int8` does, and lets TensorFlow Lite Micro run it. What a file needs
does not depend on what was learned, so weights are as they are drawn. In two environments, since
the interpreter brings packages of its own:

    python experiments/boards/contract.py write clothing files
    PYTHONPATH=. boards/bin/python experiments/boards/contract.py run files
"""

import argparse
import random
from pathlib import Path

import pandas as pd

DESIGNS, SEED = 40, 0
PIXELS = (64, 80, 96)
BOARD = """kind: board
name: contract
flash: 512KiB
ram: 256KiB
"""
#: Designs below this share of either limit are left out: they fit anyhow.
NEAR = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    write = steps.add_parser("write")
    write.add_argument("data")
    write.add_argument("files", type=Path)
    run = steps.add_parser("run")
    run.add_argument("files", type=Path)
    asked = parser.parse_args()
    if asked.step == "write":
        written(asked.data, asked.files)
    else:
        ran(asked.files)


def written(data: str, files: Path) -> None:
    """A file of each design, and what it was predicted to need."""
    import torch

    from autoscale.datasets.data import classes_in
    from autoscale.devices.board import Board
    from autoscale.jobs.search.spaces import load_space
    from autoscale.models.export import export
    from autoscale.network.build import build
    from autoscale.runs.weights import Header, write_weights

    board, draw = Board.from_yaml(BOARD), random.Random(SEED)
    classes = classes_in(data)
    space = load_space("mcu").for_task(resolution=None, num_classes=len(classes))
    files.mkdir(parents=True, exist_ok=True)
    rows = list[dict[str, object]]()
    tried = 0
    while len(rows) < DESIGNS:
        tried += 1
        design = space.sample(draw)
        fits = board.fit(design)
        near = any(fit.cost > NEAR * fit.limit.most for fit in fits)
        if design.resolution not in PIXELS or not near or not all(fit.fits for fit in fits):
            continue
        number = len(rows)
        torch.manual_seed(number)
        weights = files / f"{number}.safetensors"
        header = Header(architecture=design.to_dict(), classes=classes, seed=0)
        write_weights(weights, build(design).state_dict(), header)
        folder = files / str(number)
        export(weights, folder, formats=["litert"], dtype="int8", data=data, calibration_images=32)
        (file,) = folder.glob("*.tflite")
        flash, ram = (int(fit.cost) for fit in fits)
        size, side = file.stat().st_size, design.resolution
        rows.append(
            {"file": str(file.relative_to(files)), "pixels": side, "flash": flash,
             "bytes": size, "ram": ram}
        )  # fmt: skip
        print(f"{number}: {side} pixels, {flash:,} and {ram:,} bytes predicted", flush=True)
    print(f"{tried} designs were drawn")
    pd.DataFrame(rows).to_csv(files / "predicted.csv", index=False)


def ran(files: Path) -> None:
    """What the interpreter takes of each."""
    from arena import interpreted

    table = pd.read_csv(files / "predicted.csv")
    found = [
        interpreted((files / file).read_bytes(), side, "int8")
        for file, side in zip(table["file"].tolist(), table["pixels"].tolist(), strict=True)
    ]
    table["arena"] = [one.activations + one.kept for one in found]
    error = table.ram / table.arena - 1
    kept = (table.bytes <= 512 * 1024) & (table.arena <= 256 * 1024)
    print(table.to_string(index=False))
    print(f"within both limits: {kept.sum()} of {len(table)}")
    print(f"predicted RAM beside the arena: {error.min():+.1%} to {error.max():+.1%}")
    larger = table.flash / table.bytes - 1
    print(f"predicted flash beside the file: {larger.min():+.1%} to {larger.max():+.1%}")


if __name__ == "__main__":
    main()
