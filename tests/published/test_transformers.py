"""Our EfficientNet against that of Hugging Face transformers, which is no dependency.

Any version from 4.26 on, beside the same torch, is enough; its numbers are drawn, not downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoscale.models.load import load_model

transformers = pytest.importorskip(
    "transformers", reason="transformers, the other implementation, is not installed"
)

# Width, depth and resolution; blocks whose map has an odd size (the library's `depthwise_padding`).
MODELS = {
    "efficientnet-b0": (1.0, 1.0, 224, []),
    "efficientnet-b1": (1.0, 1.1, 240, [16]),
}


def theirs(name: str) -> nn.Module:
    """A network of theirs with random numbers that keep every map alive."""
    width, depth, resolution, odd = MODELS[name]
    config = transformers.EfficientNetConfig(
        width_coefficient=width, depth_coefficient=depth, image_size=resolution,
        hidden_dim=1280, depthwise_padding=odd, num_labels=5,
    )  # fmt: skip
    torch.manual_seed(0)
    network: nn.Module = transformers.EfficientNetForImageClassification(config).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize("name", MODELS)
def test_its_efficientnet_answers_as_ours_with_its_weights(name: str, tmp_path: Path) -> None:
    network = theirs(name)
    network.save_pretrained(tmp_path)  # type: ignore[operator]
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "EfficientNetImageProcessor", "size": {"height": 224}, '
        '"image_mean": [0.485, 0.456, 0.406], "resample": 3, '
        '"image_std": [0.47853944, 0.4732864, 0.47434163], "include_top": true}'
    )
    file = str(tmp_path / "model.safetensors")
    model, padded = load_model(name, weights=file), load_model(name, weights=file, style="timm")
    size = model.resolution
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = network(images).logits
        found, otherwise = model.network(images), padded.network(images)
    assert (found - expected).abs().max() < 1e-3 * expected.std()
    assert (otherwise - expected).abs().max() > 1e-2 * expected.std()
    assert model.preparation.deviation == pytest.approx((0.229, 0.224, 0.225), abs=1e-6)
    assert model.header.classes is None  # LABEL_0 to LABEL_4 are no names


@pytest.mark.parametrize(
    "said",
    [
        {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.47853944, 0.4732864, 0.47434163],
         "include_top": True, "resample": 3},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False,
         "include_top": False, "resample": 2},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": True,
         "image_mean": [0.1] * 3, "image_std": [0.9] * 3, "resample": 3},
        {"include_top": False, "resample": 3},
    ],
)  # fmt: skip
def test_its_preparation_of_pixels_comes_to_ours(said: dict[str, Any]) -> None:
    """Against the very processor, on a picture that needs no resizing."""
    import json
    import tempfile

    import numpy as np

    from autoscale.runs.sources.releases import release_beside

    module = pytest.importorskip(
        "transformers.models.efficientnet.image_processing_pil_efficientnet",
        reason="this version of transformers has no processor that works with Pillow alone",
    )
    processor = module.EfficientNetImageProcessorPil(size={"height": 32, "width": 32}, **said)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    expected = Tensor(np.asarray(processor(pixels, return_tensors="np")["pixel_values"][0]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "preprocessor_config.json"
        file.write_text(json.dumps({**processor.to_dict(), **said}))
        release = release_beside(Path(folder) / "model.safetensors")
    assert release is not None
    assert release.mean is not None
    assert release.deviation is not None
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (release.mean, release.deviation))
    found = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - mean) / deviation
    assert (found - expected).abs().max() < 1e-5
