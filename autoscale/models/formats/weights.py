"""A network's weights, in a file that says which network they belong to."""

from pathlib import Path

import torch

from autoscale.errors import ExportProblem
from autoscale.models.formats.check import Check
from autoscale.models.formats.format import File, Format, file_at
from autoscale.models.load import Model, changed_since_measured
from autoscale.runs.store import write_bytes
from autoscale.runs.weights import Header, read_weights, weights_content

WEIGHTS = "model.safetensors"


class Safetensors(Format):
    """Our own file of weights, as `train` writes it."""

    name = "safetensors"
    files = (WEIGHTS,)

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """Write it and read it back."""
        path = folder / WEIGHTS
        write_bytes(path, content_of(model))
        kept = read_weights(path).state
        for name, value in model.network.state_dict().items():
            if not torch.equal(kept[name], value.cpu()):
                raise ExportProblem(f"{path}: {name} was not read back as it was written")
        return [file_at(path, self.name)]


def content_of(model: Model) -> bytes:
    """The bytes of a network's file of weights."""
    return weights_content(model.network.state_dict(), header_of(model))


def header_of(model: Model) -> Header:
    """What the file says beside the weights; an accuracy only where it is still the network's."""
    header = model.header
    measured = changed_since_measured(model) is None
    return Header(
        architecture=model.architecture.to_dict() if model.architecture else None,
        style=model.style,
        preparation=model.preparation,
        classes=header.classes,
        accuracy=header.accuracy if measured else None,
        accuracy_of=header.accuracy_of if measured else None,
        metric=header.metric if measured else None,
        score=header.score if measured else None,
        provenance=header.provenance,
        origin=header.origin,
        licence=header.licence,
        answering=header.answering,
    )
