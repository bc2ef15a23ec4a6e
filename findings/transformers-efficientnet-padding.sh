#!/usr/bin/env bash
# Hugging Face transformers 5.24.0 pads the strided layers of an EfficientNet by numbers that are
# fixed when the network is built, whatever the size of the image.
# Its weights were trained with TensorFlow's "same" padding, which depends on the size of the map:
# at the network's own resolution both agree in every layer, at others some layers read a map that
# is shifted by a pixel, and nothing is raised or warned of. Seen 2026-11-28: see the table that
# this script prints. It fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0 torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import transformers
from torch import nn
from transformers import EfficientNetConfig, EfficientNetModel

OWN = 224  # B0's pixels per side


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's padding before and after."""
    whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return whole // 2, whole - whole // 2


def layers_that_differ(pixels: int) -> list[str]:
    config = EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, image_size=OWN
    )  # B0
    torch.manual_seed(0)
    model = EfficientNetModel(config).eval()
    named, pads, found = {m: n for n, m in model.named_modules()}, [], []

    def padded(module: nn.Module, inputs: tuple, _: object) -> None:
        pads.append((inputs[0].shape[-1], module.padding))

    def strided(module: nn.Module, inputs: tuple, _: object) -> None:
        if module.stride[0] == 2:
            size, (left, right, *_) = pads[-1]
            if (left, right) != same(size, module.kernel_size[0], 2):
                found.append(named[module])

    for module in model.modules():
        if isinstance(module, nn.ZeroPad2d):
            module.register_forward_hook(padded)
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(strided)
    with torch.inference_mode():
        model(torch.zeros(1, 3, pixels, pixels))
    return found


print("transformers", transformers.__version__, "torch", torch.__version__)
seen = {pixels: layers_that_differ(pixels) for pixels in (OWN, 192, 260, 300)}
for pixels, names in seen.items():
    print(f"{pixels} pixels: {len(names)} of 5 strided layers are padded otherwise: {names}")
assert not seen[OWN], "its own resolution is no longer padded like TensorFlow"
assert not seen[192], "sizes whose halves are all even agree"
assert seen[260] and seen[300], "other resolutions are padded by the map's size now"
PYTHON
