"""A network in the formats that other programs read, as bytes; who calls writes the file."""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autoscale.aspect import SQUARE, Aspect
from autoscale.distribution import require
from autoscale.errors import InvalidSetting, first_line
from autoscale.network.image import blank
from autoscale.network.measuring.trace import evaluating

#: The ONNX operator set that is asked for.
OPSET = 20


def to_onnx(
    network: nn.Module,
    *,
    resolution: int,
    aspect: Aspect = SQUARE,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """An ONNX model of float32 images as `image.image_shape` has them, any batch of at least 1.

    Input `images`, output `logits`. The network keeps its mode.

    Args:
        resolution, aspect: of the images: pixels of their height, and their width by that.
        metadata: text by name, for the model's `metadata_props`.

    Raises:
        InvalidSetting: if the packages of the extra `export` are missing, or the network cannot be
            exported.
    """
    require("export", "an ONNX file")
    images = blank(network, resolution, aspect, batch=2)
    with evaluating(network), torch.no_grad(), _quiet():
        try:
            program: Any = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                verbose=False,
            )
        except Exception as problem:  # the exporter has its own tree of errors
            raise InvalidSetting(f"cannot export to ONNX: {first_line(problem)}") from problem
    model = program.model_proto
    _drop_traces(model.graph)
    for name, text in (metadata or {}).items():
        model.metadata_props.add(key=name, value=text)
    content: bytes = model.SerializeToString()
    return content


def _drop_traces(graph: Any) -> None:
    """Take out of an ONNX graph what the exporter tells of its own work.

    Shapes of inner values name the symbol of the batch, so that a runtime that fixes the batch
    (tract) meets a contradiction; every runtime infers them itself. Traces of the stack hold paths
    of this machine.
    """
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    for attribute in (found for node in graph.node for found in node.attribute):
        for branch in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            _drop_traces(branch)


def to_torch_export(
    network: nn.Module,
    *,
    resolution: int,
    aspect: Aspect = SQUARE,
    files: Mapping[str, str] | None = None,
) -> bytes:
    """A `.pt2` program of images as for `to_onnx`; `torch.export.load` reads it without autoscale.

    Args:
        files: text by file name, which `torch.export.load` gives as `extra_files`.

    Raises:
        InvalidSetting: if the network cannot be exported.
    """
    images = blank(network, resolution, aspect, batch=2)
    content = io.BytesIO()
    with evaluating(network), torch.no_grad(), _quiet():
        try:
            program = torch.export.export(
                network, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
            )
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # holds paths of this machine
            torch.export.save(program, content, extra_files=dict(files or {}))
        except Exception as problem:  # the exporter has its own tree of errors
            raise InvalidSetting(
                f"cannot export with torch.export: {first_line(problem)}"
            ) from problem
    return content.getvalue()


def onnx_logits(content: bytes, images: Tensor) -> Tensor:
    """What ONNX Runtime answers for `images` (N, C, H, W), on one thread of the CPU.

    Raises:
        InvalidSetting: if ONNX Runtime is missing.
    """
    (logits,) = onnx_session(content).run(None, {"images": images.numpy()})
    return torch.from_numpy(logits)


def onnx_session(content: bytes, *, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        InvalidSetting: if ONNX Runtime is missing.
    """
    require("export", "ONNX Runtime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes to its developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
