"""Do exported files answer photographs as `autoscale predict` does, where autoscale is not there?

    python experiments/device/without_us.py NETWORK DATA OUT [--photographs 50]

NETWORK is a file of weights, DATA a folder of classes with test photographs, OUT a folder for the
files. Every format that is installed is written; its script names photographs in a process that
cannot import autoscale. Beside the ONNX file in int8, ways to it that were not taken are compared
on all test images: weights of 8 bits, and ONNX Runtime's own quantiser.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from quantise import _by_onnxruntime

from autoscale.datasets.data import load
from autoscale.models.export import export
from autoscale.models.formats.registry import FORMATS
from autoscale.models.formats.use import script_name
from autoscale.models.inference.predict import predict
from autoscale.models.load import Model, load_model
from autoscale.models.quantized.calibrated import batches, calibrate
from autoscale.models.quantized.files import Comparison, float_logits
from autoscale.models.settings import ExportSettings
from autoscale.network.interchange.onnx import onnx_session
from autoscale.quantization.arithmetic import WEIGHT, WEIGHT_IN_PAIRS
from autoscale.quantization.files.onnx import to_onnx

#: Runs a script in which `import autoscale` raises.
ALONE = """
import runpy, sys
sys.modules["autoscale"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--photographs", type=int, default=50)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(asked.network)
    every = sorted(Path(asked.data, "test").glob("*/*"))
    paths = every[:: max(1, len(every) // asked.photographs)][: asked.photographs]
    first = list(predict(model, paths, top=1).table["class"])
    print("| format | bytes | agreement | seconds |")
    print("| --- | --- | --- | --- |")
    for name, one in FORMATS.items():
        for dtype in one.dtypes:
            settings = ExportSettings(formats=(name,), dtype=dtype, data=asked.data)
            if one.use(settings) is None or one.missing or name == "coreml":
                continue
            out = asked.out / f"{name}-{dtype}"
            written = export(model, out, settings).files
            started = time.perf_counter()
            said = named(out / script_name(name), paths)
            spent = time.perf_counter() - started
            share = np.mean([one == other for one, other in zip(said, first, strict=True)])
            size = sum(file.bytes for file in written)
            print(f"| {name}, {dtype} | {size:,} | {share:.2f} | {spent:.1f} |", flush=True)
    ways(model, asked.data)


def named(script: Path, paths: list[Path]) -> list[str]:
    """What a script answers to pictures."""
    files = [str(path.absolute()) for path in (script, *paths)]
    command = [sys.executable, "-I", "-c", ALONE, *files]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    return [line.rpartition(": ")[2] for line in done.stdout.splitlines()]


def ways(model: Model, data: str) -> None:
    """Ways to an ONNX file in int8, on every test image."""
    read = load(data, size=model.resolution, preparation=model.preparation)
    assert read.test is not None
    pixels = read.test.pixels
    print("\n| ONNX in int8 | agreement | mean error of a logit |\n| --- | --- | --- |")
    for bits, most in (("7", WEIGHT_IN_PAIRS), ("8", WEIGHT)):
        settings = ExportSettings(data=data, dtype="int8")
        found = calibrate(model, data, settings, most=most)
        true = float_logits(found.graph, pixels)
        content = to_onnx(found.network, takes="pixels")
        for maps, way in (("unsigned", content), ("signed", signed(content))):
            tell(f"weights of {bits} bits, {maps} maps", true, answered(way, pixels))
    own = _by_onnxruntime(model, read.train.pixels[:100], pixels)
    tell("onnxruntime.quantization, static", true, own)


def signed(content: bytes) -> bytes:
    """The same file with signed maps, but for the pixels."""
    file = onnx.load_from_string(content)
    for one in file.graph.initializer:
        numbers = numpy_helper.to_array(one).astype(np.int16) if one.data_type == 2 else None
        if numbers is not None and not one.name.startswith("pixels."):
            one.CopyFrom(numpy_helper.from_array((numbers - 128).astype(np.int8), one.name))
    return bytes(file.SerializeToString())


def answered(content: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnx_session(content)
    parts = [session.run(None, {"pixels": part.numpy()})[0] for part in batches(pixels)]
    return np.concatenate(parts)


def tell(way: str, true: NDArray[np.float32], found: NDArray[np.float32]) -> None:
    compared = Comparison(true, found)
    error = float(np.abs(found - true).mean())
    print(f"| {way} | {compared.agreement:.4f} | {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
