"""A network as a Core ML package; only Apple's systems run it, so it is not run here."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from autoscale.distribution import VERSION
from autoscale.errors import ExportProblem, first_line
from autoscale.models.formats.check import Check
from autoscale.models.formats.format import File, Format
from autoscale.models.formats.use import Use
from autoscale.models.input_spec import metadata
from autoscale.models.load import Model
from autoscale.models.settings import ExportSettings
from autoscale.network.image import blank
from autoscale.network.measuring.trace import evaluating

PACKAGE = "model.mlpackage"
_MANIFEST = "Manifest.json"
#: Of a package, what is for other programs than Core ML.
_LEFT_OUT = ("executorch_debug_handle_mapping.json",)


class CoreML(Format):
    """A package for iPhones and Macs."""

    name = "coreml"
    files = (f"{PACKAGE}/{_MANIFEST}",)
    extra = "coreml"
    by_name = True

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """Numbers are float32, of one image at a time; what Core ML answers is not looked at."""
        told = metadata(
            model.preparation, model.resolution, model.header.classes, model.header.answering
        )
        contents = _converted(model, told)
        return [self.written(folder / PACKAGE / name, data) for name, data in contents.items()]

    def use(self, settings: ExportSettings) -> Use | None:
        """By coremltools, which predicts on Apple's systems."""
        return Use(
            needs="coremltools on macOS",
            imports="import coremltools",
            opened=f'network = coremltools.models.MLModel(str(here / "{PACKAGE}"))',
            answered='logits = network.predict({"images": images})["logits"]',
        )

    def notes(self, files: Sequence[File]) -> list[str]:
        """It is not run."""
        return [f"{PACKAGE} was not run: Core ML runs on Apple's systems alone"]


def _converted(model: Model, told: Mapping[str, str]) -> dict[str, bytes]:
    """The files of a package by their paths in it; the same for the same network.

    Raises:
        ExportProblem: if coremltools cannot convert the network.
    """
    with _quiet(), tempfile.TemporaryDirectory() as place:
        import coremltools

        network = model.network
        image = blank(network, model.resolution, model.aspect)
        try:
            with evaluating(network), torch.no_grad():
                program = torch.export.export(network, (image,)).run_decompositions({})
            found: Any = coremltools.convert(
                program,
                convert_to="mlprogram",
                inputs=[coremltools.TensorType(name="images", shape=tuple(image.shape))],
                outputs=[coremltools.TensorType(name="logits")],
                compute_precision=coremltools.precision.FLOAT32,
                minimum_deployment_target=coremltools.target.iOS16,
                skip_model_load=True,
            )
        except Exception as problem:  # a converter has its own tree of errors
            raise ExportProblem(
                f"coremltools cannot convert the network: {first_line(problem)}; leave coreml out "
                "with --to"
            ) from problem
        found.version = VERSION
        held = found.user_defined_metadata
        held.pop("com.github.apple.coremltools.conversion_date", None)
        held.update(told)
        path = Path(place, PACKAGE)
        found.save(str(path))
        files = sorted(part for part in path.rglob("*") if part.is_file())
        contents = {part.relative_to(path).as_posix(): part.read_bytes() for part in files}
    for name in _LEFT_OUT:
        contents.pop(name, None)
    contents[_MANIFEST] = _named_alike(contents[_MANIFEST])
    return contents


def _named_alike(manifest: bytes) -> bytes:
    """A manifest whose items are called by what they are, where coremltools draws names."""
    plain = json.loads(manifest)
    items = plain["itemInfoEntries"]
    names = {drawn: str(uuid.uuid5(uuid.NAMESPACE_URL, of["path"])) for drawn, of in items.items()}
    plain["itemInfoEntries"] = dict(sorted((names[drawn], of) for drawn, of in items.items()))
    plain["rootModelIdentifier"] = names[plain["rootModelIdentifier"]]
    return (json.dumps(plain, indent=4) + "\n").encode()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without coremltools' progress and its notes on versions that it was not tried with."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
