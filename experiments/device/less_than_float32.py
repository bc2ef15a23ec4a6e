"""How far answers move where OpenVINO or ncnn compute or store in less than float32.

    python experiments/device/less_than_float32.py NETWORK DATA

NETWORK is a file of weights, DATA a folder of classes with test photographs. Both runtimes answer
them as they do by themselves and as they are told to in the scripts that `export` writes.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from autoscale.datasets.data import load
from autoscale.devices.runtimes.openvino import IN_FLOAT32
from autoscale.models.export import export
from autoscale.models.formats.openvino import GRAPH
from autoscale.models.inference.passes import to_network_input
from autoscale.models.load import load_model
from autoscale.network.interchange.ncnn import HALVES, INPUT, LAYERS, NUMBERS, OUTPUT

Images = NDArray[np.float32]
Answer = Callable[[Images], Images]  # one image (C, H, W) to its logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("data")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(asked.network)
    test = load(asked.data, size=model.resolution, preparation=model.preparation).test
    assert test is not None
    images = torch.cat([to_network_input(pixels[None], model) for pixels in test.pixels])
    with torch.inference_mode():
        true = torch.cat([model.network(part) for part in images.split(64)]).numpy()
    print(f"{model.name}, {len(images)} photographs")
    print("| runtime | logit | probability | agreement |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        export(model, folder, formats=["openvino", "ncnn"])
        for name, answer in {
            "openvino by itself": by_openvino(folder, {}),
            "openvino in float32": by_openvino(folder, IN_FLOAT32),
            "ncnn by itself": by_ncnn(folder, ()),
            "ncnn in float32": by_ncnn(folder, HALVES),
        }.items():
            found = np.stack([answer(np.ascontiguousarray(image)) for image in images.numpy()])
            logit = np.abs(found - true).max()
            probability = np.abs(softmax(found) - softmax(true)).max()
            same = (found.argmax(axis=1) == true.argmax(axis=1)).mean()
            print(f"| {name} | {logit:.1e} | {probability:.1e} | {same:.4f} |", flush=True)


def by_openvino(folder: Path, options: dict[str, str]) -> Answer:
    """The file in OpenVINO, on the processor."""
    ready: Any = openvino.Core().compile_model(folder / GRAPH, "CPU", options)
    return lambda image: np.array(ready(image[None])[0][0])


def by_ncnn(folder: Path, without: tuple[str, ...]) -> Answer:
    """The files in ncnn, some of its options put off."""
    network: Any = ncnn.Net()
    for half in without:
        setattr(network.opt, f"use_{half}", False)
    network.load_param(str(folder / LAYERS))
    network.load_model(str(folder / NUMBERS))

    def answer(image: Images) -> Images:
        with network.create_extractor() as running:
            running.input(INPUT, ncnn.Mat(image).clone())
            return np.array(running.extract(OUTPUT)[1])

    return answer


def softmax(logits: Images) -> NDArray[np.float64]:
    numbers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return numbers / numbers.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
