"""Take a network away: files for other programs, each checked against torch, and a model card."""

import hashlib
import io
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor

from autoscale.design.cost import Cost
from autoscale.errors import ExportProblem, InvalidArchitecture, InvalidSetting
from autoscale.network.export import onnx_logits, require_export, to_onnx, to_torch_export
from autoscale.network.latency import measure_latency
from autoscale.network.measure import traced_cost
from autoscale.network.source import python_source, timm_source
from autoscale.network.weights import to_timm
from autoscale.runs.store import write_bytes, write_text
from autoscale.runs.weights import Header, read_weights, write_weights
from autoscale.workflows.card import model_card
from autoscale.workflows.models import Loading, Model, as_model

#: Batches on which a format is held against torch.
BATCHES = (1, 5)
#: Largest difference of a logit, in units of the largest logit where that is above 1.
TOLERANCE = 1e-4
CARD = "MODEL_CARD.md"
WEIGHTS = "model.safetensors"
TIMM_WEIGHTS = "timm.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One written file."""

    path: Path
    format: str
    bytes: int
    sha256: str
    # Largest difference of a logit from torch's on noise, over `BATCHES`; None if it was not run.
    difference: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What `export` wrote."""

    files: tuple[File, ...]
    card: Path
    notes: tuple[str, ...]  # what a person should know, in sentences


def export(
    model: Model | str | Path,
    directory: str | Path,
    *,
    formats: Sequence[str] | None = None,
    measure: bool = False,
    **loading: Unpack[Loading],
) -> Exported:
    """Write a network in other programs' formats, and a card that says what it is.

    Every file that can be run here is run, before and not after it is written, and held against
    torch.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        directory: where the files go; made if it is not there.
        formats: of safetensors, python, timm, torch-export and onnx; by default all that this
            network can have.
        measure: also measure the latency of one image on this machine, for the card.
        loading: `weights`, `style` and `resolution` as `load_model` takes them, beside a name.

    Raises:
        InvalidSetting: for a format that is not there or that this network cannot have, or if a
            package is missing.
        ExportProblem: if a format does not give torch's logits; the files before it are kept.
        StorageProblem: if the disk does not take it.
    """
    model, folder = as_model(model, **loading), Path(directory)
    wanted = list(dict.fromkeys(formats)) if formats else possible_formats(model)
    for name in wanted:
        if name not in FORMATS:
            raise InvalidSetting(f"no format {name!r}; choose from {', '.join(FORMATS)}")
        if reason := _impossible(model, name):
            raise InvalidSetting(reason)
        if name == "onnx":
            require_export("onnx", "onnxscript", "onnxruntime")
    images = torch.randn(
        max(BATCHES), 3, model.resolution, model.resolution, generator=_generator()
    )
    expected = {batch: _logits(model, images[:batch]) for batch in BATCHES}
    files = [
        file
        for name in sorted(wanted, key=list(FORMATS).index)
        for file in FORMATS[name](model, folder, _Check(name, images, expected))
    ]
    latency = measure_latency(model.network, resolution=model.resolution) if measure else None
    card = folder / CARD
    classes = expected[1].shape[-1]
    write_text(
        card,
        model_card(
            model,
            cost=_cost(model),
            files=[(f.path.name, f.format, f.bytes, f.sha256, f.difference) for f in files],
            latency=latency,
            num_classes=classes,
        ),
    )
    return Exported(files=tuple(files), card=card, notes=model.notes)


def possible_formats(model: Model) -> list[str]:
    """The formats that a network can have."""
    return [name for name in FORMATS if _impossible(model, name) is None]


@dataclass(frozen=True, slots=True)
class _Check:
    """Holds a format's answers against torch's."""

    format: str
    images: Tensor
    expected: Mapping[int, Tensor]

    def difference(self, answers: Callable[[Tensor], Tensor]) -> float:
        """The largest one of a logit.

        Raises:
            ExportProblem: if it is too large.
        """
        largest = 0.0
        for batch, expected in self.expected.items():
            difference = float((answers(self.images[:batch]) - expected).abs().max())
            limit = TOLERANCE * max(1.0, float(expected.abs().max()))
            if not difference <= limit:
                raise ExportProblem(
                    f"{self.format} gives logits that differ by {difference:.2g} from torch's for "
                    f"a batch of {batch}, over {limit:.2g}; leave it out with --to"
                )
            largest = max(largest, difference)
        return largest


def _safetensors(model: Model, folder: Path, check: _Check) -> list[File]:
    path = folder / WEIGHTS
    write_weights(path, model.network.state_dict(), _header(model))
    kept = read_weights(path).state
    for name, value in model.network.state_dict().items():
        if not torch.equal(kept[name], value.cpu()):
            raise ExportProblem(f"{path}: {name} was not read back as it was written")
    return [_file(path, check.format, None)]


def _onnx(model: Model, folder: Path, check: _Check) -> list[File]:
    content = to_onnx(model.network, resolution=model.resolution)
    difference = check.difference(lambda images: onnx_logits(content, images))
    return [_write(folder / "model.onnx", content, check.format, difference)]


def _torch_export(model: Model, folder: Path, check: _Check) -> list[File]:
    content = to_torch_export(model.network, resolution=model.resolution)
    program = torch.export.load(io.BytesIO(content)).module()
    difference = check.difference(lambda images: _run(program, images))
    return [_write(folder / "model.pt2", content, check.format, difference)]


def _python(model: Model, folder: Path, check: _Check) -> list[File]:
    assert model.architecture is not None
    source = python_source(
        model.architecture,
        model.style,
        name=model.name,
        weights=WEIGHTS,
        mean=model.preparation.mean,
        deviation=model.preparation.deviation,
        classes=model.header.classes,
    )
    path = folder / "network.py"
    module = types.ModuleType("network")
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), module.__dict__)
    network = module.Network()
    network.load_state_dict(model.network.state_dict())
    difference = check.difference(lambda images: _run(network.eval(), images))
    beside = [] if (folder / WEIGHTS).exists() else _safetensors(model, folder, check)
    return [*beside, _write(path, source.encode(), check.format, difference)]


def _timm(model: Model, folder: Path, check: _Check) -> list[File]:
    assert model.architecture is not None
    source = timm_source(model.architecture, model.style, weights=TIMM_WEIGHTS)
    path = folder / TIMM_WEIGHTS
    write_weights(path, to_timm(model.network.state_dict()), _header(model))
    return [
        _file(path, check.format, None),
        _write(folder / "timm_network.py", source.encode(), check.format, None),
    ]


#: What can be written, quickest first.
FORMATS: Mapping[str, Callable[[Model, Path, _Check], list[File]]] = {
    "safetensors": _safetensors,
    "python": _python,
    "timm": _timm,
    "torch-export": _torch_export,
    "onnx": _onnx,
}


def _impossible(model: Model, name: str) -> str | None:
    """Why a network cannot have a format; None if it can."""
    if name not in ("python", "timm"):
        return None
    if model.architecture is None:
        return f"{model.name} is a module of your own, so there is no design to write as {name}"
    if name == "timm":
        try:
            timm_source(model.architecture, model.style, weights=TIMM_WEIGHTS)
        except InvalidArchitecture as problem:
            return str(problem)
    return None


def _header(model: Model) -> Header:
    header = model.header
    return Header(
        architecture=model.architecture.to_dict() if model.architecture else None,
        padding=model.style.padding,
        norm_eps=model.style.norm_eps,
        mean=model.preparation.mean,
        deviation=model.preparation.deviation,
        classes=header.classes,
        accuracy=header.accuracy,
        accuracy_of=header.accuracy_of,
        provenance=header.provenance,
    )


def _cost(model: Model) -> Cost | None:
    """None if the user's module runs what autoscale cannot count."""
    try:
        return traced_cost(model.network, resolution=model.resolution)
    except InvalidSetting:
        return None


def _logits(model: Model, images: Tensor) -> Tensor:
    try:
        found = _run(model.network, images)
    except Exception as problem:  # the user's code may raise anything
        cause = f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:200]
        raise InvalidSetting(
            f"{model.name} does not take images of shape {tuple(images.shape)}: {cause}; correct "
            "it or try another --resolution"
        ) from problem
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise InvalidSetting(f"{model.name} must give logits of shape (N, classes)")
    return found


@torch.inference_mode()
def _run(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return network(images)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _write(path: Path, content: bytes, format: str, difference: float | None) -> File:
    write_bytes(path, content)
    return _file(path, format, difference)


def _file(path: Path, format: str, difference: float | None) -> File:
    content = path.read_bytes()
    return File(
        path=path,
        format=format,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        difference=difference,
    )
