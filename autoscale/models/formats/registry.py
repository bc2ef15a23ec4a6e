"""The formats of `export`, quickest first."""

from collections.abc import Mapping

from autoscale.models.formats.c_array import CArray
from autoscale.models.formats.coreml import CoreML
from autoscale.models.formats.format import Format
from autoscale.models.formats.graphs import Onnx, TorchExport
from autoscale.models.formats.litert import LiteRT
from autoscale.models.formats.ncnn import NCNN
from autoscale.models.formats.openvino import OpenVINO
from autoscale.models.formats.python import PythonModule
from autoscale.models.formats.timm import Timm
from autoscale.models.formats.weights import Safetensors
from autoscale.models.load import Model

FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Safetensors(),
        PythonModule(),
        Timm(),
        TorchExport(),
        Onnx(),
        LiteRT(),
        OpenVINO(),
        NCNN(),
        CoreML(),
        CArray(),
    )
}


def possible_formats(model: Model) -> list[str]:
    """The formats that a network can have, installed or not."""
    return [name for name, one in FORMATS.items() if one.impossible(model) is None]
