"""Take a network away: files for other programs, each checked against torch, and a model card.

Beside them stand how pictures are prepared and what the logits are called, and a picture with its
answer, so that another program can tell whether it does the same.
"""

import hashlib
import io
import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoscale.design.cost import Cost
from autoscale.distribution import install
from autoscale.errors import ExportProblem, InvalidArchitecture, InvalidSetting, cause
from autoscale.models.card import BESIDE, changed_since_measured, model_card
from autoscale.models.input_spec import LABELS, escaped, metadata, text_files, timm_config
from autoscale.models.load import Model, as_model
from autoscale.models.preparing_source import preparing_source
from autoscale.models.quantized import files as litert_files
from autoscale.models.quantized.calibrated import calibrate, graph_of
from autoscale.models.quantized.calibrated import impossible as no_litert
from autoscale.models.reference import ANSWER, PICTURE, Reference, reference
from autoscale.models.settings import FORMATS, ExportSettings
from autoscale.network.interchange.onnx import onnx_logits, require_export, to_onnx, to_torch_export
from autoscale.network.interchange.python_source import python_source, timm_source
from autoscale.network.measuring.latency import measure_latency
from autoscale.network.measuring.trace import traced_cost
from autoscale.network.weights import to_timm
from autoscale.quantization.litert import has_litert, require_litert
from autoscale.runs.sources.releases import CONFIG
from autoscale.runs.store import guarded, require_folder, write_bytes, write_text
from autoscale.runs.weights import KEY, Header, read_weights, weights_content, write_weights
from autoscale.settings.function import takes_settings

#: Batches on which a format is held against torch.
BATCHES = (1, 5)
#: Largest difference of a logit, in units of the largest logit where that is above 1.
TOLERANCE = 1e-4
CARD = "MODEL_CARD.md"
WEIGHTS = "model.safetensors"
NETWORK = "network.py"
TIMM_WEIGHTS = "timm.safetensors"
TIMM_NETWORK = "timm_network.py"
PROGRAM = "model.pt2"
ONNX = "model.onnx"
_NAMES = (WEIGHTS, NETWORK, TIMM_WEIGHTS, TIMM_NETWORK, CONFIG, PROGRAM, ONNX,
          *litert_files.FILES.values())  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One written file."""

    path: Path
    format: str
    bytes: int
    sha256: str
    # Largest difference of a logit from torch's on noise, over `BATCHES`; None if it was not run.
    difference: float | None
    # Of int8, share of held-out images whose largest logit is of the class that torch's is; there
    # `difference` is over these images too.
    agreement: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What `export` wrote."""

    files: tuple[File, ...]  # of the formats
    beside: tuple[File, ...]  # how to use them: preparation, names of classes, a reference
    card: Path
    notes: tuple[str, ...]  # what a person should know, in sentences


@takes_settings(ExportSettings)
def export(model: Model | str | Path, directory: str | Path, settings: ExportSettings) -> Exported:
    """Write a network in other programs' formats, how to use it, and a card that says what it is.

    Every file that can be run here is run, before and not after it is written, and held against
    torch.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        directory: where the files go; made if it is not there.
        settings: those of `load_model` are for a name.

    Raises:
        InvalidSetting: for a format that is not there or that this network cannot have, if a
            package is missing, or if the weights name another number of classes than there are.
        ExportProblem: if a format does not give torch's logits; the files before it are kept.
        StorageProblem: if the disk does not take it.
    """
    folder = Path(directory)
    require_folder(folder)
    model = as_model(model, settings)
    wanted = _requested(model, settings)
    images = torch.randn(
        max(BATCHES), 3, model.resolution, model.resolution, generator=_generator()
    )
    expected = {batch: _logits(model, images[:batch]) for batch in BATCHES}
    num_classes = expected[1].shape[-1]
    _require_names(model, num_classes)
    known = reference(model)
    files = [
        file
        for name in wanted
        for file in _WRITERS[name](model, folder, _Check(name, images, expected, known, settings))
    ]
    beside = _write_beside(model, folder, known, timm="timm" in wanted)
    latency = (
        measure_latency(model.network, resolution=model.resolution) if settings.measure else None
    )
    notes = [*model.notes, *_left_out(model, settings), *_told_of_litert(files)]
    if escaped(model.header.classes or ()):
        notes.append(
            f"names of classes hold line breaks, which {LABELS} writes as escapes such as \\n, and "
            "backslashes doubled"
        )
    written = {file.path.name for file in (*files, *beside)}
    if earlier := [name for name in _NAMES if name not in written and (folder / name).exists()]:
        notes.append(f"{' and '.join(earlier)} in that folder are of an earlier export")
    card = folder / CARD
    write_text(
        card,
        model_card(
            model,
            cost=_cost(model),
            files=[
                (f.path.name, f.format, f.bytes, f.sha256, f.difference) for f in (*files, *beside)
            ],
            latency=latency,
            num_classes=num_classes,
            notes=notes,
        ),
    )
    return Exported(files=tuple(files), beside=tuple(beside), card=card, notes=tuple(notes))


def _requested(model: Model, settings: ExportSettings) -> list[str]:
    """The formats to write, quickest first.

    Raises:
        InvalidSetting: if one cannot be had.
    """
    formats = settings.formats
    wanted = list(dict.fromkeys(formats)) if formats else possible_formats(model)
    if not formats and not has_litert() and settings.dtype != "int8":
        wanted = [name for name in wanted if name != "litert"]
    for name in wanted:
        if reason := _impossible(model, name):
            raise InvalidSetting(reason)
        if name == "onnx":
            require_export("onnx", "onnxscript", "onnxruntime")
        if name == "litert":
            require_litert()
            if settings.dtype == "int8" and settings.data is None:
                raise InvalidSetting(
                    "--dtype int8 needs images to calibrate on; give --data, as for train"
                )
    return sorted(wanted, key=list(FORMATS).index)


def _left_out(model: Model, settings: ExportSettings) -> list[str]:
    """What to say where no format was asked for and one could not be written."""
    if settings.formats or has_litert() or no_litert(model):
        return []
    return [f"no LiteRT file was written, which needs: {install('litert')}"]


def _told_of_litert(files: Sequence[File]) -> list[str]:
    """What to say of LiteRT files, which take other numbers and need not answer as torch does."""
    notes = []
    for file in files:
        if file.path.suffix == ".tflite":
            kind = "float32" if file.agreement is None else "bytes"
            notes.append(
                f"{file.path.name} takes pixels 0..255 of shape (N, S, S, 3), {kind}; input.json "
                "in it, which is a ZIP archive too, says the rest"
            )
        if file.agreement is not None:
            notes.append(
                f"{file.path.name} gives the first answer of the float network for "
                f"{100 * file.agreement:.1f} % of held-out images; autoscale quantize compares "
                "accuracies and layers"
            )
    return notes


def _require_names(model: Model, num_classes: int) -> None:
    classes = model.header.classes
    if classes is not None and len(classes) != num_classes:
        raise InvalidSetting(
            f"{model.name} gives {num_classes:,} logits, but its weights name {len(classes):,} "
            "classes; take the weights that belong to it"
        )


def _write_beside(model: Model, folder: Path, known: Reference, *, timm: bool) -> list[File]:
    """What is needed to use the formats' files as `predict` uses the network."""
    texts = text_files(model.preparation, model.resolution, model.header.classes)
    if LABELS not in texts:
        with guarded(folder / LABELS):  # another network's would be taken for this one's
            (folder / LABELS).unlink(missing_ok=True)
    texts[ANSWER] = known.answer(model.header.classes)
    if timm:
        texts[CONFIG] = _timm_config(model, num_classes=len(known.logits))
    contents = {name: text.encode() for name, text in texts.items()} | {PICTURE: known.picture}
    return [_write(folder / name, content, BESIDE, None) for name, content in contents.items()]


def possible_formats(model: Model) -> list[str]:
    """The formats that a network can have."""
    return [name for name in FORMATS if _impossible(model, name) is None]


@dataclass(frozen=True, slots=True)
class _Check:
    """Holds a format's answers against torch's."""

    format: str
    images: Tensor
    expected: Mapping[int, Tensor]
    reference: Reference
    settings: ExportSettings

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
    write_bytes(path, _weights(model))
    kept = read_weights(path).state
    for name, value in model.network.state_dict().items():
        if not torch.equal(kept[name], value.cpu()):
            raise ExportProblem(f"{path}: {name} was not read back as it was written")
    return [_file(path, check.format, None)]


def _weights(model: Model) -> bytes:
    return weights_content(model.network.state_dict(), _header(model))


def _onnx(model: Model, folder: Path, check: _Check) -> list[File]:
    told = metadata(model.preparation, model.resolution, model.header.classes)
    content = to_onnx(model.network, resolution=model.resolution, metadata=told)
    difference = check.difference(lambda images: onnx_logits(content, images))
    return [_write(folder / ONNX, content, check.format, difference)]


def _torch_export(model: Model, folder: Path, check: _Check) -> list[File]:
    texts = text_files(model.preparation, model.resolution, model.header.classes)
    content = to_torch_export(model.network, resolution=model.resolution, files=texts)
    program = torch.export.load(io.BytesIO(content)).module()
    difference = check.difference(lambda images: _run(program, images))
    return [_write(folder / PROGRAM, content, check.format, difference)]


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
        preparing=preparing_source(model.preparation),
    )
    path = folder / NETWORK
    module = types.ModuleType("network")
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), module.__dict__)
    network = module.Network()
    network.load_state_dict(model.network.state_dict())
    difference = check.difference(lambda images: _run(network.eval(), images))
    prepared = module.prepare(io.BytesIO(check.reference.picture))
    if not torch.equal(prepared, check.reference.prepared):
        raise ExportProblem(
            f"{path} prepares a picture otherwise than predict does; leave it out with --to"
        )
    weights = folder / WEIGHTS  # another network's may lie there
    kept = weights.exists() and weights.read_bytes() == _weights(model)
    beside = [] if kept else _safetensors(model, folder, check)
    return [*beside, _write(path, source.encode(), check.format, difference)]


def _timm(model: Model, folder: Path, check: _Check) -> list[File]:
    assert model.architecture is not None
    config = _timm_pretrained(model, num_classes=check.expected[1].shape[-1])
    source = timm_source(model.architecture, model.style, weights=TIMM_WEIGHTS, config=config)
    path = folder / TIMM_WEIGHTS
    write_weights(path, to_timm(model.network.state_dict()), _header(model))
    return [
        _file(path, check.format, None),
        _write(folder / TIMM_NETWORK, source.encode(), check.format, None),
    ]


def _timm_pretrained(model: Model, *, num_classes: int) -> dict[str, Any]:
    return timm_config(
        model.preparation, model.resolution, model.header.classes, num_classes=num_classes
    )


def _timm_config(model: Model, *, num_classes: int) -> str:
    """The text of `config.json` as timm's loader for the Hub reads it.

    Source of the keys: rwightman/pytorch-image-models, timm/models/_hub.py.
    """
    config = _timm_pretrained(model, num_classes=num_classes)
    names = {"label_names": config.pop("label_names")} if "label_names" in config else {}
    plain = {
        "architecture": model.name,
        "num_classes": num_classes,
        "global_pool": "avg",
        "pretrained_cfg": config,
        **names,
        KEY: asdict(model.style) | {"white_level": model.preparation.white_level},
    }
    return json.dumps(plain, indent=2) + "\n"


def _litert(model: Model, folder: Path, check: _Check) -> list[File]:
    if check.settings.dtype == "int8":
        return [_litert_int8(model, folder, check)]
    graph = graph_of(model)
    content = litert_files.content(model, graph)

    def answers(images: Tensor) -> Tensor:
        pixels = litert_files.to_pixels(images, model)
        return torch.from_numpy(litert_files.file_logits(content, pixels, graph))

    difference = check.difference(answers)
    path = folder / litert_files.FILES["float32"]
    return [_write(path, content, check.format, difference)]


def _litert_int8(model: Model, folder: Path, check: _Check) -> File:
    """Held against torch on validation images; it differs, and how much is said."""
    assert check.settings.data is not None
    found = calibrate(model, check.settings.data, check.settings)
    content, pixels = litert_files.content(model, found.network), found.held_out
    compared = litert_files.Comparison(
        litert_files.float_logits(found.graph, pixels),
        litert_files.file_logits(content, pixels, found.network),
    )
    path = folder / litert_files.FILES["int8"]
    file = _write(path, content, f"{check.format}, int8", compared.difference)
    return replace(file, agreement=compared.agreement)


_WRITERS: Mapping[str, Callable[[Model, Path, _Check], list[File]]] = {
    "safetensors": _safetensors,
    "python": _python,
    "timm": _timm,
    "torch-export": _torch_export,
    "onnx": _onnx,
    "litert": _litert,
}


def _impossible(model: Model, name: str) -> str | None:
    """Why a network cannot have a format; None if it can."""
    if name == "litert":
        return no_litert(model)
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
    measured = changed_since_measured(model) is None
    return Header(
        architecture=model.architecture.to_dict() if model.architecture else None,
        style=model.style,
        preparation=model.preparation,
        classes=header.classes,
        accuracy=header.accuracy if measured else None,
        accuracy_of=header.accuracy_of if measured else None,
        provenance=header.provenance,
        origin=header.origin,
        licence=header.licence,
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
        raise InvalidSetting(
            f"{model.name} does not take images of shape {tuple(images.shape)}: {cause(problem)}; "
            "correct it or try another --resolution"
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
