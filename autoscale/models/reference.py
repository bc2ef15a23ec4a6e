"""A picture with a network's answer to it, by which another program checks its own preparation."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from autoscale.answering.answering import NONE, Answering
from autoscale.datasets.pictures.decoding import decode
from autoscale.datasets.pictures.pictures import Pictures
from autoscale.datasets.pictures.preparation import in_bands
from autoscale.metrics.predictions import said_by
from autoscale.models.inference.passes import to_network_input
from autoscale.models.input_spec import PREPARATION
from autoscale.models.load import Model

PICTURE, ARRAY = "reference.png", "reference.npy"
ANSWER = "reference.json"
#: Least and most rows of the picture.
_ROWS = (160, 720)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A picture, and what becomes of it here."""

    picture: bytes  # a PNG file; of bands a .npy file
    name: str  # of that file
    pixels: NDArray[np.uint8]  # (H, W, C), before they are normalised
    prepared: Tensor  # (1, C, H, W), what the network gets
    logits: Tensor  # (classes,)

    def answer(self, classes: tuple[str, ...] | None, answering: Answering | None) -> str:
        """The text of `reference.json`."""
        way = answering or Answering()
        scaled = torch.from_numpy(way.scaled(self.logits.numpy()))
        chances = scaled.sigmoid() if way.several else scaled.softmax(dim=0)
        first = int(self.logits.argmax())
        values = self.prepared.double()
        data: dict[str, Any] = {
            "picture": self.name,
            "preparation": PREPARATION,
            "pixels": {
                "shape": list(self.pixels.shape),
                "dtype": "uint8",
                "sha256": hashlib.sha256(np.ascontiguousarray(self.pixels).data).hexdigest(),
            },
            "prepared": {
                "shape": list(self.prepared.shape),
                "dtype": "float32",
                "mean": values.mean(dim=(0, 2, 3)).tolist(),
                "deviation": values.std(dim=(0, 2, 3), correction=0).tolist(),
                "top_left": self.prepared[0, :, 0, 0].tolist(),
                "centre": self.prepared[0, :, *_middle(self.prepared)].tolist(),
            },
            "logits": self.logits.tolist(),
            "first": {
                "index": first,
                "class": classes[first] if classes else None,
                "probability": float(chances[first]),
            },
        }
        if way.none_below is not None:
            none = bool(way.refuses(chances.numpy()[[first]])[0])
            data["answer"] = {"index": None, "class": NONE} if none else data["first"]
        if way.several:
            said = said_by(self.logits.double().numpy(), way.thresholds_of(len(chances)))
            data["labels"] = [
                {
                    "index": place,
                    "class": classes[place] if classes else None,
                    "probability": float(chances[place]),
                }
                for place in np.flatnonzero(said).tolist()
            ]
        return json.dumps(data, indent=2, allow_nan=False) + "\n"


def reference(model: Model) -> Reference:
    """The picture for `model`, prepared and answered as `predict` does."""
    channels = model.preparation.channels
    picture, name = draw(model.resolution), picture_name(channels)
    if in_bands(channels):
        picture = _in_bands(picture, channels)
    pictures = Pictures([name], [len(picture)], np.zeros(1, np.int64), lambda _: picture)
    pixels = decode(
        pictures, model.resolution, strict=True, keep=None, preparation=model.preparation
    ).pixels
    prepared = to_network_input(pixels, model)
    with torch.inference_mode():
        logits = model.network(prepared)
    return Reference(
        picture=picture, name=name, pixels=pixels[0], prepared=prepared, logits=logits[0]
    )


def picture_name(channels: int) -> str:
    """The name of the picture for networks of so many channels."""
    return ARRAY if in_bands(channels) else PICTURE


def draw(size: int) -> bytes:
    """A PNG file of a landscape, half as high again as the input of `size` pixels, and wider.

    It has what a mistake of preparation would change: other colours in each channel, edges, fine
    detail that a reduction without antialiasing breaks, and a side that cuts to half a pixel.
    """
    height = min(max(_ROWS[0], 3 * size // 2), _ROWS[1])
    width = height * 4 // 3
    width += 1 - (width - height) % 2
    y, x = np.mgrid[0:height, 0:width]
    v, u = y / height, x / width  # 0..1, whatever the size
    scene = np.stack([90 + 120 * v, 140 + 70 * v, 235 - 40 * v], axis=-1)
    scene[(u - 0.72) ** 2 + (v - 0.22) ** 2 * 0.56 < 0.006] = (255, 228, 120)  # the sun
    ridge = 0.45 + 0.08 * np.sin(9 * u) + 0.03 * np.sin(31 * u)
    far, near = v > ridge, v > 0.62 + 0.05 * np.cos(7 * u)
    scene[far] = (70, 96, 88)
    scene[near] = (60, 128, 44)
    stones = (x // 2 * 7 + y // 2 * 13 + (x // 2) * (y // 2)) % 23
    scene[near] += (stones[near] * 4 - 40)[:, None] * (1.0, 0.7, 0.4)
    house = (abs(u - 0.3) < 0.11) & (v > 0.5) & (v < 0.8)
    scene[house] = (196, 62, 48)
    scene[house & ((x // 3 + y // 2) % 4 == 0)] = (236, 196, 170)  # bricks
    roof = (v > 0.36) & (v <= 0.5) & (abs(u - 0.3) < (v - 0.36) * 1.0)
    scene[roof] = (58, 40, 66)
    fence = (v > 0.78) & (v < 0.93) & (u > 0.5) & (x % 6 < 2)
    scene[fence] = (250, 250, 244)
    return _png(scene.round().clip(0, 255).astype(np.uint8))


def _in_bands(picture: bytes, channels: int) -> bytes:
    """The landscape as an array: each band is one of its colours, moved on by a pixel a round."""
    with Image.open(io.BytesIO(picture)) as image:
        colours = np.asarray(image)
    bands = [np.roll(colours[..., c % 3], c // 3, axis=1) for c in range(channels)]
    content = io.BytesIO()
    np.save(content, np.stack(bands, axis=-1))
    return content.getvalue()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return content.getvalue()


def _middle(images: Tensor) -> tuple[int, int]:
    return images.shape[-2] // 2, images.shape[-1] // 2
