"""A network as a Python module that needs torch alone, with its weights beside it."""

import io
import types
from pathlib import Path

import torch

from autoscale.errors import ExportProblem
from autoscale.models.formats.check import Check
from autoscale.models.formats.format import File, Format, answer
from autoscale.models.formats.weights import WEIGHTS, Safetensors, content_of
from autoscale.models.load import Model
from autoscale.models.preparing_source import preparing_source
from autoscale.network.interchange.python_source import python_source

NETWORK = "network.py"


class PythonModule(Format):
    """Source that builds the network and prepares pictures for it."""

    name = "python"
    files = (NETWORK,)

    def impossible(self, model: Model) -> str | None:
        """A user's module has no design."""
        if model.architecture is None:
            return f"{model.name} is a module of your own, so there is no design to write as python"
        return None

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """Run the source, and write the weights too where others lie."""
        source, path = _source(model), folder / NETWORK
        module = types.ModuleType("network")
        module.__file__ = str(path)
        exec(compile(source, str(path), "exec"), module.__dict__)
        network = module.Network()
        network.load_state_dict(model.network.state_dict())
        compared = check.compare(self.name, lambda images: answer(network.eval(), images))
        prepared = module.prepare(io.BytesIO(check.reference.picture))
        if not torch.equal(prepared, check.reference.prepared):
            raise ExportProblem(
                f"{path} prepares a picture otherwise than predict does; leave it out with --to"
            )
        weights = folder / WEIGHTS  # another network's may lie there
        kept = weights.exists() and weights.read_bytes() == content_of(model)
        beside = [] if kept else Safetensors().write(model, folder, check)
        return [*beside, self.written(path, source.encode(), compared)]


def _source(model: Model) -> str:
    assert model.architecture is not None
    return python_source(
        model.architecture,
        model.style,
        name=model.name,
        weights=WEIGHTS,
        mean=model.preparation.mean,
        deviation=model.preparation.deviation,
        classes=model.header.classes,
        preparing=preparing_source(model.preparation, model.header.answering),
    )
