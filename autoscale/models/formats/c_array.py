"""A network in int8 as C source, for programs of TensorFlow Lite Micro."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autoscale.answering.answering import NONE, Answering
from autoscale.distribution import VERSION
from autoscale.errors import InvalidSetting
from autoscale.models.formats.check import Check
from autoscale.models.formats.format import File, Format
from autoscale.models.input_spec import names_of_channels, writable
from autoscale.models.load import Model
from autoscale.models.quantized import files
from autoscale.models.quantized.calibrated import impossible as no_operations
from autoscale.quantization import graph as g
from autoscale.quantization.arithmetic import LOWEST
from autoscale.quantization.files.litert import operators_of, to_litert
from autoscale.quantization.quantized import QuantizedGraph

HEADER, SOURCE = "network.h", "network.c"
_A_LINE = 16  # bytes
#: By the operators of a file, what adds them to TensorFlow Lite Micro's resolver.
_RESOLVER = {
    "QUANTIZE": "Quantize", "CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "FULLY_CONNECTED": "FullyConnected", "ADD": "Add", "MUL": "Mul", "MEAN": "Mean",
    "AVERAGE_POOL_2D": "AveragePool2D", "MAX_POOL_2D": "MaxPool2D", "LOGISTIC": "Logistic",
    "PAD": "Pad", "PADV2": "PadV2", "HARD_SWISH": "HardSwish", "RELU": "Relu", "RELU6": "Relu6",
}  # fmt: skip


class CArray(Format):
    """The bytes of the int8 LiteRT file, without its metadata, and what a program must know."""

    name = "c-array"
    files = (HEADER, SOURCE)
    extra = "litert"
    dtypes = ("int8",)
    by_name = True

    def impossible(self, model: Model) -> str | None:
        """It needs a design, of layers that runtimes have."""
        return no_operations(model, self.name)

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """The bytes are held against torch on validation images, by LiteRT's interpreter."""
        found = check.calibrated
        content = to_litert(found.network)
        operators = operators_of(content)
        if unknown := [one for one in operators if one not in _RESOLVER]:
            raise InvalidSetting(
                f"TensorFlow Lite Micro has no {' or '.join(unknown)}, which {model.name} needs; "
                "leave --to c-array out"
            )
        compared = files.Comparison(
            files.float_logits(found.graph, found.held_out),
            files.file_logits(content, found.held_out, found.network),
        )
        source = _source(content, model, found.network)
        header = _header(model, found.network, operators, len(content))
        return [
            self.written_in_int8(folder / HEADER, header.encode(), compared),
            self.written_in_int8(folder / SOURCE, source.encode(), compared),
        ]

    def notes(self, written: Sequence[File]) -> list[str]:
        """It takes other numbers than the other formats, and need not answer as torch does."""
        share = next((file.agreement for file in written if file.agreement is not None), None)
        same = "" if share is None else (
            f", and gives the first answer of the float network for {100 * share:.1f} % of "
            "validation images"
        )  # fmt: skip
        return [f"{HEADER} says how {SOURCE} is used by TensorFlow Lite Micro{same}"]


def _header(model: Model, network: QuantizedGraph, operators: Sequence[str], size: int) -> str:
    pixels, logits = network.maps[g.PIXELS], network.maps[network.graph.output.name]
    (height, width), channels = network.graph.size, network.graph.channels
    sides, pixels_in = f"#define NETWORK_SIDE {height} /* pixels */", "NETWORK_SIDE * NETWORK_SIDE"
    if width != height:
        sides = (
            f"#define NETWORK_HEIGHT {height} /* pixels: rows */\n"
            f"#define NETWORK_WIDTH {width} /* pixels of a row */"
        )
        pixels_in = "NETWORK_HEIGHT * NETWORK_WIDTH"
    classes = network.graph.output.shape[0]
    added = " ".join(f"ops.Add{_RESOLVER[one]}();" for one in operators)
    return f"""\
/* A network in int8, written by autoscale {VERSION}. With TensorFlow Lite Micro:

   static tflite::MicroMutableOpResolver<{len(operators)}> ops;
   {added}
   alignas(16) static uint8_t arena[ARENA_BYTES];  // autoscale count --board tells how many
   static tflite::MicroInterpreter net(tflite::GetModel(network_data), ops, arena, sizeof arena);
   net.AllocateTensors(); memcpy(net.input(0)->data.uint8, pixels, NETWORK_INPUT_BYTES);
   net.Invoke();  // logit i is (net.output(0)->data.int8[i] - zero point) * scale of the output

   Pixels are bytes 0..255, row by row, channels last ({names_of_channels(channels)}), prepared as
   preparation.json says before its scale, mean and deviation. */
#ifndef NETWORK_H
#define NETWORK_H

#ifdef __cplusplus
extern "C" {{
#endif

#define NETWORK_DATA_BYTES {size}
{sides}
#define NETWORK_CHANNELS {channels}
#define NETWORK_INPUT_BYTES ({pixels_in} * NETWORK_CHANNELS)
#define NETWORK_CLASSES {classes}
#define NETWORK_INPUT_SCALE {pixels.scale!r}f /* normalised = (pixel - zero point) * scale */
#define NETWORK_INPUT_ZERO_POINT {pixels.zero_point - LOWEST}
#define NETWORK_OUTPUT_SCALE {logits.scale!r}f
#define NETWORK_OUTPUT_ZERO_POINT ({logits.zero_point})
{_answering_macros(model.header.answering)}
extern const unsigned char network_data[NETWORK_DATA_BYTES]; /* begins at a multiple of 16 */
extern const char *const network_classes[NETWORK_CLASSES];   /* UTF-8 */

#ifdef __cplusplus
}}
#endif

#endif
"""


def _answering_macros(answering: Answering | None) -> str:
    """What turns logits into an answer, one macro a line; nothing if nobody chose that."""
    if answering is None:
        return ""
    if answering.several:
        steps = "\n   ".join(textwrap.wrap(" ".join(answering.steps), 90))
        return (
            f"\n/* {steps}\n   Of the output that is network_thresholds[i] at least for class i. */"
            "\nextern const short network_thresholds[NETWORK_CLASSES];\n"
        )
    steps = "\n   ".join(textwrap.wrap(" ".join(answering.steps), 90))
    macros = f"#define NETWORK_TEMPERATURE {answering.temperature!r}f\n"
    if answering.none_below is not None:
        macros += f"#define NETWORK_NONE_BELOW {answering.none_below!r}f /* {NONE} */\n"
    return f"\n/* {steps} */\n{macros}"


def _thresholds(model: Model, network: QuantizedGraph) -> str:
    """Source of the least output that says each class; nothing where an image has one class."""
    answering, logits = model.header.answering, network.maps[network.graph.output.name]
    if answering is None or not answering.several:
        return ""
    least = answering.thresholds_of(network.graph.output.shape[0])
    steps = np.ceil(np.log(least / (1 - least)) / logits.scale + logits.zero_point)
    held = ", ".join(map(str, np.clip(steps, LOWEST, -LOWEST).astype(int).tolist()))
    return f"\nconst short network_thresholds[NETWORK_CLASSES] = {{{held}}};\n"


def _source(content: bytes, model: Model, network: QuantizedGraph) -> str:
    assert model.num_classes is not None
    names = model.header.classes or [f"class {number}" for number in range(model.num_classes)]
    texts = "\n".join(f"    {_literal(name)}," for name in names)
    rows = [
        "    " + ", ".join(f"0x{byte:02x}" for byte in content[start : start + _A_LINE]) + ","
        for start in range(0, len(content), _A_LINE)
    ]
    numbers = "\n".join(rows)
    return f"""\
#include "{HEADER}"

#ifdef __cplusplus
alignas(16)
#else
_Alignas(16)
#endif
const unsigned char network_data[NETWORK_DATA_BYTES] = {{
{numbers}
}};

const char *const network_classes[NETWORK_CLASSES] = {{
{texts}
}};
{_thresholds(model, network)}"""


def _literal(text: str) -> str:
    """A name as C writes it; bytes that are no plain letters as three octal digits."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')  # "??/" would be another character
    found = "".join(
        chr(byte) if byte in plain else f"\\{byte:03o}" for byte in writable(text).encode()
    )
    return f'"{found}"'
