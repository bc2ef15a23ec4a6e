"""A network as a Python module that needs torch alone.

The pieces are the definitions of `blocks.py` themselves, as far as the design uses them; the calls
of these are those that make the network here. So the module cannot drift from what was trained.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pprint import pformat
from textwrap import indent
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.design.timm_blocks import timm_definition
from autoscale.design.walk import walk
from autoscale.network import blocks
from autoscale.network.excerpt import definitions, imports
from autoscale.network.modules_of import block_call, head_calls, stem_calls
from autoscale.network.weights import Style

_ROOM = 80  # characters of a line inside a method
_SHORT = re.compile(r"[\w.+-]{1,60}")


def python_source(
    architecture: Architecture,
    style: Style,
    *,
    name: str,
    weights: str,
    mean: Sequence[float],
    deviation: Sequence[float],
    classes: Sequence[str] | None = None,
    preparing: str = "",
) -> str:
    """A module with `Network`, whose state dict has the names of ours, and `load()`.

    Args:
        weights: the file that `load` reads from the module's own folder.
        mean: of each channel, for pixels in 0..1.
        classes: names of the classes, in the order of the logits.
        preparing: source that follows `load`; it may use `cache`, `Path`, `SimpleNamespace` and
            `torch`.
    """
    body = _network(architecture, style)
    pieces = definitions([blocks], body)
    colours = {1: "grey", 3: "red, green, blue"}.get(architecture.channels, "each band")
    height, width = architecture.image_size
    sides = f"RESOLUTION = {height}  # pixels per side"
    if width != height:
        sides = f"RESOLUTION = {height}  # of the height, pixels\nWIDTH = {width}  # pixels"
    facts = f"""
{sides}
MEAN = {tuple(mean)!r}  # of {colours} in 0..1, to be subtracted
DEVIATION = {tuple(deviation)!r}  # to divide by afterwards
CLASSES = {tuple(classes) if classes is not None else None!r}
"""
    load = f'''
def load(path=Path(__file__).with_name({weights!r})):
    """The network with its weights, ready to be used. Needs the package safetensors."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(path))
    return network.eval()
'''
    title = name if _SHORT.fullmatch(name) else "A network"
    needs = "torch, and Pillow and numpy for pictures" if preparing else "torch alone"
    top = (
        f'"""{title}, written by autoscale; needs {needs}.\n\n'
        f"Shape: (N, {architecture.channels}, {height}, {width}) -> "
        f'(N, {architecture.num_classes}) logits.\n"""\n'
    )
    parts = [top, _imports(pieces + body, preparing), facts, pieces, body, load, preparing]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(parts)).rstrip() + "\n"


def timm_source(
    architecture: Architecture,
    style: Style,
    *,
    weights: str,
    config: Mapping[str, Any] | None = None,
) -> str:
    """A module whose `build()` makes the network with timm, and whose `load()` reads its weights.

    Args:
        config: timm's `pretrained_cfg`, by which `timm.data.resolve_model_data_config` knows how
            pictures are prepared.

    Raises:
        InvalidArchitecture: if timm's EfficientNet cannot be this network.
    """
    found = timm_definition(architecture)
    strings = "\n".join(f"    [{text!r}]," for text in found.blocks).replace("'", '"')
    act = blocks.ACTIVATIONS[found.activation].__name__
    padding = "same" if style.padding == "same" else ""
    grey = "" if found.in_chans == 3 else f"        in_chans={found.in_chans},\n"
    facts = pformat(dict(config or {}), width=96, sort_dicts=False)
    return f'''"""A network for timm, written by autoscale."""

from functools import partial
from pathlib import Path

from torch import nn

from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet

BLOCKS = [
{strings}
]
# timm's transform made from this rounds the square to whole pixels and ignores EXIF orientations.
PRETRAINED_CFG = {facts}


def build(num_classes={found.num_classes}):
    network = EfficientNet(
        block_args=decode_arch_def(BLOCKS),
        num_classes=num_classes,
{grey}        num_features={found.num_features},
        stem_size={found.stem_size},
        fix_stem=True,
        output_stride={found.output_stride},
        pad_type="{padding}",
        act_layer=nn.{act},
        norm_layer=partial(nn.BatchNorm2d, eps={style.norm_eps!r}),
        round_chs_fn=partial(round_channels, multiplier=0),  # widths as they stand
    )
    network.pretrained_cfg = network.default_cfg = dict(PRETRAINED_CFG)
    return network


def load(path=Path(__file__).with_name("{weights}")):
    from safetensors.torch import load_file

    network = build()
    network.load_state_dict(load_file(path))
    return network.eval()
'''


def _network(architecture: Architecture, style: Style) -> str:
    first, others = stem_calls(architecture)
    lines = [f"self.stem = {first.source(_ROOM)}"]
    for name, call in others.items():
        lines.append(f'self.stem.add_module("{name}", {call.source(_ROOM)})')
    lines.append("self.stages = nn.Sequential(")
    for _, of_stage in groupby(walk(architecture), key=attrgetter("stage")):
        calls = [block_call(block.layout, block.width_in).source(_ROOM - 8) for block in of_stage]
        lines.append("    nn.Sequential(")
        for text, several in groupby(calls):
            count = len(list(several))
            again = f"*[{text} for _ in range({count})]" if count > 1 else text
            lines.append(indent(f"{again},", " " * 8))
        lines.append("    ),")
    lines += [")", "self.head = nn.Sequential()"]
    for name, call in head_calls(architecture).items():
        classifier = f"nn.Linear({architecture.features}, num_classes)"
        part = classifier if name == "classifier" else call.source(_ROOM)
        lines.append(f'self.head.add_module("{name}", {part})')
    if style.padding == "same":
        lines.append("pad_same(self)")
    lines += [
        "for module in self.modules():",
        "    if isinstance(module, nn.BatchNorm2d):",
        f"        module.eps = {style.norm_eps!r}",
    ]
    inside = indent("\n".join(lines), " " * 8)
    return f"""
class Network(nn.Module):
    def __init__(self, num_classes={architecture.num_classes}):
        super().__init__()
{inside}

    def forward(self, x):
        return self.head(self.stages(self.stem(x)))

"""


def _imports(text: str, preparing: str) -> str:
    """The imports that the module needs."""
    lines = ["from pathlib import Path"]
    theirs = imports([blocks], text)
    if preparing:
        lines = [
            "from __future__ import annotations\n",
            "from functools import cache",
            *lines,
            "from types import SimpleNamespace",
        ]
        theirs = ["import torch", *(line for line in theirs if line != "import torch")]
    return "\n".join([*lines, "", *theirs]) + "\n"
