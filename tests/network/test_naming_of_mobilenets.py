"""MobileNetV3, MobileNetV4, ResNeXt and ConvNeXt as timm and torchvision name them: names and
shapes are written down here a second time, from the rows of their own tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from autoscale.design.published import published
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.inheritance.origin import published_origin
from autoscale.network.naming import naming_of
from autoscale.network.weights import STYLES, class_rows, load_weights, timm_names, to_timm

Shapes = dict[str, tuple[int, ...]]


def multiple_of_8(value: float) -> int:
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 * (rounded < 0.9 * value)


def norm(shapes: Shapes, name: str, width: int) -> None:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"{name}.{leaf}"] = (width,)
    shapes[f"{name}.num_batches_tracked"] = ()


def conv(shapes: Shapes, name: str, *shape: int, bias: bool = False) -> None:
    shapes[f"{name}.weight"] = shape
    if bias:
        shapes[f"{name}.bias"] = shape[:1]


# torchvision/models/mobilenetv3.py, _mobilenet_v3_conf: kernel, hidden and output channels, whether
# re-weighted; the input channels are those of the row before.
LARGE = (
    (3, 16, 16, 0), (3, 64, 24, 0), (3, 72, 24, 0), (5, 72, 40, 1), (5, 120, 40, 1),
    (5, 120, 40, 1), (3, 240, 80, 0), (3, 200, 80, 0), (3, 184, 80, 0), (3, 184, 80, 0),
    (3, 480, 112, 1), (3, 672, 112, 1), (5, 672, 160, 1), (5, 960, 160, 1), (5, 960, 160, 1),
)  # fmt: skip
SMALL = (
    (3, 16, 16, 1), (3, 72, 24, 0), (3, 88, 24, 0), (5, 96, 40, 1), (5, 240, 40, 1),
    (5, 240, 40, 1), (5, 120, 48, 1), (5, 144, 48, 1), (5, 288, 96, 1), (5, 576, 96, 1),
    (5, 576, 96, 1),
)  # fmt: skip


def torchvision_v3(rows: tuple[tuple[int, int, int, int], ...], hidden: int) -> Shapes:
    shapes: Shapes = {}
    conv(shapes, "features.0.0", 16, 3, 3, 3)
    norm(shapes, "features.0.1", 16)
    before = 16
    for number, (kernel, wide, out, excited) in enumerate(rows, start=1):
        layers = [(wide, before, 1, 1)] if wide != before else []
        layers += [(wide, 1, kernel, kernel), (out, wide, 1, 1)]
        place = 0
        for shape in layers:
            if shape == layers[-1] and excited:
                squeeze = multiple_of_8(wide // 4)
                conv(shapes, f"features.{number}.block.{place}.fc1", squeeze, wide, 1, 1, bias=True)
                conv(shapes, f"features.{number}.block.{place}.fc2", wide, squeeze, 1, 1, bias=True)
                place += 1
            conv(shapes, f"features.{number}.block.{place}.0", *shape)
            norm(shapes, f"features.{number}.block.{place}.1", shape[0])
            place += 1
        before = out
    last = len(rows) + 1
    conv(shapes, f"features.{last}.0", 6 * before, before, 1, 1)
    norm(shapes, f"features.{last}.1", 6 * before)
    conv(shapes, "classifier.0", hidden, 6 * before, bias=True)
    conv(shapes, "classifier.3", 1000, hidden, bias=True)
    return shapes


# timm/models/mobilenetv3.py, _gen_mobilenet_v3 and _gen_mobilenet_v4.
TIMM = {
    "mobilenetv3-large": """
        ds_r1_k3_e1_c16; ir_r1_k3_e4_c24 ir_r1_k3_e3_c24; ir_r3_k5_e3_c40_se; ir_r1_k3_e6_c80
        ir_r1_k3_e2.5_c80 ir_r2_k3_e2.3_c80; ir_r2_k3_e6_c112_se; ir_r3_k5_e6_c160_se;
        cn_r1_k1_c960""",
    "mobilenetv3-small": """
        ds_r1_k3_e1_c16_se; ir_r1_k3_e4.5_c24 ir_r1_k3_e3.67_c24; ir_r1_k5_e4_c40_se
        ir_r2_k5_e6_c40_se; ir_r2_k5_e3_c48_se; ir_r3_k5_e6_c96_se; cn_r1_k1_c576""",
    "mobilenetv4-conv-small": """
        cn_r1_k3_c32 cn_r1_k1_c32; cn_r1_k3_c96 cn_r1_k1_c64; uir_r1_a5_k5_e3_c96
        uir_r4_a0_k3_e2_c96 uir_r1_a3_k0_e4_c96; uir_r1_a3_k3_e6_c128 uir_r1_a5_k5_e4_c128
        uir_r1_a0_k5_e4_c128 uir_r1_a0_k5_e3_c128 uir_r2_a0_k3_e4_c128; cn_r1_k1_c960""",
    "mobilenetv4-conv-medium": """
        er_r1_k3_e4_c48; uir_r1_a3_k5_e4_c80 uir_r1_a3_k3_e2_c80; uir_r1_a3_k5_e6_c160
        uir_r2_a3_k3_e4_c160 uir_r1_a3_k5_e4_c160 uir_r1_a3_k3_e4_c160 uir_r1_a3_k0_e4_c160
        uir_r1_a0_k0_e2_c160 uir_r1_a3_k0_e4_c160; uir_r1_a5_k5_e6_c256 uir_r1_a5_k5_e4_c256
        uir_r2_a3_k5_e4_c256 uir_r1_a0_k0_e4_c256 uir_r1_a3_k0_e4_c256 uir_r1_a3_k5_e2_c256
        uir_r1_a5_k5_e4_c256 uir_r2_a0_k0_e4_c256 uir_r1_a5_k0_e2_c256; cn_r1_k1_c960""",
}


def timm_mobilenet(name: str) -> Shapes:
    """A state dict of timm's, whose stages `TIMM` parts by semicolons."""
    version = 4 if "v4" in name else 3
    before = 32 if version == 4 else 16
    shapes: Shapes = {}
    conv(shapes, "conv_stem", before, 3, 3, 3)
    norm(shapes, "bn1", before)
    for stage, line in enumerate(TIMM[name].split(";")):
        block = 0
        for text in line.split():
            found = dict(re.findall(r"_([raekc])([\d.]+)", text))
            for _ in range(int(found["r"])):
                here = f"blocks.{stage}.{block}"
                before = timm_block(shapes, here, text, before, found)
                block += 1
    hidden = 1024 if "v3-small" in name else 1280
    conv(shapes, "conv_head", hidden, before, 1, 1, bias=version == 3)
    if version == 4:
        norm(shapes, "norm_head", hidden)
    conv(shapes, "classifier", 1000, hidden, bias=True)
    return shapes


def timm_block(shapes: Shapes, here: str, text: str, width: int, found: dict[str, str]) -> int:
    """Its output channels."""
    kind, kernel, out = text.split("_")[0], int(found["k"]), int(found["c"])
    wide = multiple_of_8(width * float(found.get("e", 1)))
    parts: list[tuple[str, str, tuple[int, ...]]]
    if kind == "cn":
        parts = [("conv", "bn1", (out, width, kernel, kernel))]
    elif kind == "er":
        parts = [("conv_exp", "bn1", (wide, width, kernel, kernel))]
        parts += [("conv_pwl", "bn2", (out, wide, 1, 1))]
    elif kind == "ds":
        parts = [("conv_dw", "bn1", (width, 1, kernel, kernel))]
        parts += [("conv_pw", "bn2", (out, width, 1, 1))]
    elif kind == "ir":
        parts = [
            ("conv_pw", "bn1", (wide, width, 1, 1)),
            ("conv_dw", "bn2", (wide, 1, kernel, kernel)),
        ]
        parts += [("conv_pwl", "bn3", (out, wide, 1, 1))]
    else:
        start = int(found["a"])
        sizes = [("dw_start", (width, 1, start, start))] if start else []
        sizes += [("pw_exp", (wide, width, 1, 1))]
        sizes += [("dw_mid", (wide, 1, kernel, kernel))] if kernel else []
        sizes += [("pw_proj", (out, wide, 1, 1))]
        parts = [(f"{part}.conv", f"{part}.bn", shape) for part, shape in sizes]
    for layer, its_norm, shape in parts:
        conv(shapes, f"{here}.{layer}", *shape)
        norm(shapes, f"{here}.{its_norm}", shape[0])
    if text.endswith("_se"):
        wide = wide if kind == "ir" else width
        squeeze = multiple_of_8(wide / 4)
        conv(shapes, f"{here}.se.conv_reduce", squeeze, wide, 1, 1, bias=True)
        conv(shapes, f"{here}.se.conv_expand", wide, squeeze, 1, 1, bias=True)
    return out


def timm_convnext(depths: tuple[int, ...], widths: tuple[int, ...], *, conv_mlp: bool) -> Shapes:
    """timm/models/convnext.py; the two layers after a norm are matrices but with `conv_mlp`."""
    shapes: Shapes = {}
    ones = (1, 1) if conv_mlp else ()
    conv(shapes, "stem.0", widths[0], 3, 4, 4, bias=True)
    conv(shapes, "stem.1", widths[0], bias=True)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            before = widths[stage - 1]
            conv(shapes, f"stages.{stage}.downsample.0", before, bias=True)
            conv(shapes, f"stages.{stage}.downsample.1", width, before, 2, 2, bias=True)
        for block in range(depth):
            here = f"stages.{stage}.blocks.{block}"
            shapes[f"{here}.gamma"] = (width,)
            conv(shapes, f"{here}.conv_dw", width, 1, 7, 7, bias=True)
            conv(shapes, f"{here}.norm", width, bias=True)
            conv(shapes, f"{here}.mlp.fc1", 4 * width, width, *ones, bias=True)
            conv(shapes, f"{here}.mlp.fc2", width, 4 * width, *ones, bias=True)
    conv(shapes, "head.norm", widths[-1], bias=True)
    conv(shapes, "head.fc", 1000, widths[-1], bias=True)
    return shapes


def torchvision_convnext(depths: tuple[int, ...], widths: tuple[int, ...]) -> Shapes:
    """torchvision/models/convnext.py."""
    shapes: Shapes = {}
    conv(shapes, "features.0.0", widths[0], 3, 4, 4, bias=True)
    conv(shapes, "features.0.1", widths[0], bias=True)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            before = widths[stage - 1]
            conv(shapes, f"features.{2 * stage}.0", before, bias=True)
            conv(shapes, f"features.{2 * stage}.1", width, before, 2, 2, bias=True)
        for block in range(depth):
            here = f"features.{2 * stage + 1}.{block}"
            shapes[f"{here}.layer_scale"] = (width, 1, 1)
            conv(shapes, f"{here}.block.0", width, 1, 7, 7, bias=True)
            conv(shapes, f"{here}.block.2", width, bias=True)
            conv(shapes, f"{here}.block.3", 4 * width, width, bias=True)
            conv(shapes, f"{here}.block.5", width, 4 * width, bias=True)
    conv(shapes, "classifier.0", widths[-1], bias=True)
    conv(shapes, "classifier.2", 1000, widths[-1], bias=True)
    return shapes


def resnext(depths: tuple[int, ...]) -> Shapes:
    """torchvision/models/resnet.py, resnext50_32x4d."""
    shapes: Shapes = {}
    conv(shapes, "conv1", 64, 3, 7, 7)
    norm(shapes, "bn1", 64)
    before = 64
    for stage, depth in enumerate(depths):
        inner, out = 128 << stage, 256 << stage
        for block in range(depth):
            here = f"layer{stage + 1}.{block}"
            sizes = [(inner, before, 1, 1), (inner, inner // 32, 3, 3), (out, inner, 1, 1)]
            for number, shape in enumerate(sizes, start=1):
                conv(shapes, f"{here}.conv{number}", *shape)
                norm(shapes, f"{here}.bn{number}", shape[0])
            if block == 0:
                conv(shapes, f"{here}.downsample.0", out, before, 1, 1)
                norm(shapes, f"{here}.downsample.1", out)
            before = out
    conv(shapes, "fc", 1000, before, bias=True)
    return shapes


TINY = (3, 3, 9, 3), (96, 192, 384, 768)
ATTO = (2, 2, 6, 2), (40, 80, 160, 320)
#: The published network, its names, its parameters as its library states or its paper prints them,
#: and what its batch norms expect.
SOURCES: dict[str, tuple[str, Callable[[], Shapes], int, str | None]] = {
    "torchvision V3 large": (
        "mobilenetv3-large", lambda: torchvision_v3(LARGE, 1280), 5_483_032, "autoscale"
    ),
    "torchvision V3 small": (
        "mobilenetv3-small", lambda: torchvision_v3(SMALL, 1024), 2_542_856, "autoscale"
    ),
    **{
        f"timm {name}": (name, lambda name=name: timm_mobilenet(name), count, None)  # type: ignore[misc]
        for name, count in (
            ("mobilenetv3-large", 5_483_032), ("mobilenetv3-small", 2_542_856),
            ("mobilenetv4-conv-small", 3_774_024), ("mobilenetv4-conv-medium", 9_715_512),
        )
    },
    "timm ConvNeXt-T": (
        "convnext-tiny", lambda: timm_convnext(*TINY, conv_mlp=False), 28_589_128, "timm"
    ),
    "timm ConvNeXt atto": (
        "convnext-atto", lambda: timm_convnext(*ATTO, conv_mlp=True), 3_695_520, "timm"
    ),
    "torchvision ConvNeXt-T": (
        "convnext-tiny", lambda: torchvision_convnext(*TINY), 28_589_128, "timm"
    ),
    "ResNeXt-50": ("resnext-50-32x4d", lambda: resnext((3, 4, 6, 3)), 25_028_904, "timm"),
}  # fmt: skip


def on_no_device(shapes: Shapes) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize("source", SOURCES)
def test_the_published_network_is_told_from_names_and_shapes(source: str) -> None:
    network, shapes, params, style = SOURCES[source]
    state = on_no_device(shapes())
    learned = (v for n, v in state.items() if not re.search(r"running|tracked", n))
    assert sum(value.numel() for value in learned) == params
    assert published_origin(state) == network
    assert class_rows(state) == 1000
    naming = naming_of(state)
    assert naming is not None
    assert naming.style(state) == (STYLES[style] if style else None)


@pytest.mark.parametrize(
    "source",
    ["torchvision V3 small", "timm mobilenetv3-small", "timm mobilenetv4-conv-small",
     "timm ConvNeXt atto"],
)  # fmt: skip
def test_every_number_finds_its_place(source: str) -> None:
    """Numbers differ from tensor to tensor, so that a swapped pair of equal shapes would show."""
    network, shapes, _, _ = SOURCES[source]
    names = list(shapes())
    state = {
        name: torch.full(shape, float(number + 1))
        for number, (name, shape) in enumerate(shapes().items())
    }
    target = build(replace(published(network), num_classes=1000))
    assert load_weights(target, state) == []
    numbers = [value.flatten()[0].item() for value in target.state_dict().values()]
    assert sorted(numbers) == list(range(1, len(names) + 1))
    assert (
        target.state_dict()["head.classifier.weight"].unique()
        == names.index(
            next(n for n in names if shapes()[n][:1] == (1000,) and n.endswith("weight"))
        )
        + 1
    )


def test_another_mobilenets_weights_are_refused_by_name() -> None:
    with torch.device("meta"):
        small = build(published("mobilenetv3-small"))
    for shapes in (timm_mobilenet("mobilenetv3-large"), torchvision_v3(LARGE, 1280)):
        with pytest.raises(InvalidSetting, match=r"another network's: missing .*'s\)"):
            load_weights(small, on_no_device(shapes))


def test_a_mobilenet_is_not_written_under_timms_names() -> None:
    """Its stages are others there, and nothing is exported that timm would not read."""
    with torch.device("meta"):
        state = build(published("mobilenetv3-small")).state_dict()
    with pytest.raises(InvalidSetting, match=r"nothing like head\.hidden"):
        to_timm(state)
    assert timm_names(state, timm_mobilenet("mobilenetv3-small"))[
        "stages.2.0.branch.project.0.weight"
    ] == ("blocks.1.1.conv_pwl.weight")
