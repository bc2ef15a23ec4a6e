"""Which way to int8 keeps a network's answers? Rows of a table, written as they come.

python experiments/device/quantise.py NETWORK DATA OUT.csv [--weights FILE] [--images 200]
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoscale.datasets.data import ImageData, classes_in, load
from autoscale.datasets.pictures.selection import Selection
from autoscale.models.export import export
from autoscale.models.inference.passes import to_network_input
from autoscale.models.load import Model, load_model
from autoscale.models.quantized.calibrated import batches, graph_of
from autoscale.models.quantized.files import Comparison, content, file_logits, float_logits
from autoscale.quantization.calibration import Method
from autoscale.quantization.post_training import after_training
from autoscale.quantization.simulate import simulate

#: Range, weights rounded together, strength of equalising.
WAYS: list[tuple[Method, bool, float]] = [
    ("min-max", False, 0.0),
    ("percentile", False, 0.0),
    ("mse", False, 0.0),
    ("mse", True, 0.0),
    ("mse", True, 0.5),
    ("mse", True, 1.0),
    ("min-max", True, 1.0),
    ("percentile", True, 1.0),
]
COLUMNS = ["way", "together", "equalised", "agreement", "accuracy", "mean_error", "simulated",
           "cpu_seconds"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("data")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--onnx", action="store_true", help="ONNX Runtime's static QDQ too")
    parser.add_argument("--simulate", type=int, default=0, help="images that are simulated too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(asked.network, weights=asked.weights)
    seed = model.header.seed or 0
    selection = Selection(limit=asked.images, seed=seed)
    data = load(
        asked.data, size=model.resolution, selection=selection, preparation=model.preparation
    )
    assert data.test is not None
    graph, labels = graph_of(model), _labels(model, asked.data, data)
    true, pixels = float_logits(graph, data.test.pixels), data.test.pixels
    with asked.csv.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerow(["float", "", "", 1.0, _accuracy(true, labels), 0.0, "", ""])
        for method, together, strength in WAYS:
            started = time.process_time()
            parts = batches(data.train.pixels)
            _, network = after_training(
                graph, parts, method=method, together=together, strength=strength
            )
            spent = time.process_time() - started
            found = file_logits(content(model, network), pixels, network)
            same = ""
            if asked.simulate:
                part = pixels[: asked.simulate]
                steps = torch.cat([simulate(network, batch) for batch in batches(part)])
                answers = steps.argmax(dim=1).numpy()
                same = f"{(answers == found[: len(part)].argmax(axis=1)).mean():.4f}"
            rows.writerow([method, together, strength, *_told(true, found, labels), same,
                           round(spent, 1)])  # fmt: skip
            file.flush()
        if asked.onnx:
            started = time.process_time()
            found = _by_onnxruntime(model, data.train.pixels[:100], pixels)
            spent = round(time.process_time() - started, 1)
            rows.writerow(["onnxruntime", "", "", *_told(true, found, labels), "", spent])


def _told(
    true: NDArray[np.float32], found: NDArray[np.float32], labels: NDArray[np.int64] | None
) -> list[object]:
    compared = Comparison(true, found)
    error = round(float(np.abs(found - true).mean()), 4)
    return [round(compared.agreement, 4), _accuracy(found, labels), error]


def _labels(model: Model, source: str, data: ImageData) -> NDArray[np.int64] | None:
    """Which logit is right; None where the network's classes are not the data's."""
    assert data.test is not None
    held, known = model.header.classes, classes_in(source)
    if held is None or set(known) - set(held):
        return None
    return np.array([held.index(name) for name in known])[data.test.labels]


def _accuracy(logits: NDArray[np.float32], labels: NDArray[np.int64] | None) -> object:
    return "" if labels is None else round(float((logits.argmax(axis=1) == labels).mean()), 4)


def _by_onnxruntime(
    model: Model, calibration: NDArray[np.uint8], pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """ONNX Runtime's own static quantisation: QDQ, min-max, weights per channel."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(calibration)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.left, None)
            if image is None:
                return None
            return {"images": to_network_input(image[None], model).contiguous().numpy()}

    with tempfile.TemporaryDirectory() as folder:
        export(model, folder, formats=["onnx"])
        out = str(Path(folder, "int8.onnx"))
        quantize_static(
            str(Path(folder, "model.onnx")), out, Reader(), per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
        parts = [
            session.run(None, {"images": to_network_input(part, model).contiguous().numpy()})[0]
            for part in np.array_split(pixels, max(len(pixels) // 16, 1))
        ]
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
