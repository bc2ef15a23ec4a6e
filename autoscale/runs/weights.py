"""Weights on disk: safetensors, which hold numbers and text but no code.

The header says under `autoscale` what the numbers belong to, so that a file can be used alone.
"""

import argparse
import hashlib
import json
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from autoscale.answering.answering import Answering
from autoscale.aspect import aspect_of
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.style import Style
from autoscale.design.versions import FORMAT, UPGRADE, version_problem
from autoscale.errors import InvalidSetting
from autoscale.runs.checkpoint import KEY as SNAPSHOT_KEY
from autoscale.runs.state_dicts import unwrapped
from autoscale.runs.store import guarded, write_bytes

#: The key of our part of a safetensors header.
KEY = "autoscale"
#: Classes beside tensors that a checkpoint may hold, for they are mere data: timm's and
#: torchvision's training scripts write the arguments they were called with.
_HARMLESS: list[Any] = [argparse.Namespace]
#: What files of `torch.save` begin with: those of today are zip archives, older ones pickles.
_PYTORCH = (b"PK", b"\x80")


#: What names of files of weights end with, and of the list of several files' tensors.
_ENDINGS, _INDEX = (".safetensors", ".pth", ".pt", ".bin"), ".index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file of weights says about itself; None where it is silent."""

    architecture: dict[str, Any] | None = None  # `Architecture.to_dict`
    style: Style | None = None  # of `build`
    preparation: Preparation | None = None  # of pictures
    classes: tuple[str, ...] | None = None  # names, in the order of the logits
    learned: tuple[str, ...] | None = None  # of the classes, if the classifier is not trained
    seed: int | None = None  # of the cut of the images that it was trained on
    group_by: str | None = None  # what that cut kept together
    seen: tuple[str, ...] | None = None  # some of these, see `training.seen`
    accuracy: float | None = None  # share of images
    accuracy_of: str | None = None  # on which images
    metric: str | None = None  # by which they were chosen on these, where that is not accuracy
    score: float | None = None  # of that metric
    provenance: str | None = None  # where the weights come from
    origin: str | None = None  # the published weights that they are, or began with
    licence: str | None = None  # of those, as whoever gives them says
    answering: Answering | None = None  # how logits become an answer; None: as their softmax says

    __pydantic_config__ = {"allow_inf_nan": False}  # noqa: RUF012  (read by pydantic alone)

    def to_dict(self) -> dict[str, Any]:
        """What is known, as plain data in one level, but for how logits become an answer."""
        plain: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("style", "preparation", "answering")
        }
        plain |= asdict(self.style) if self.style else {}
        plain |= self.preparation.to_dict() if self.preparation else {}
        plain |= {"answering": self.answering.to_dict()} if self.answering else {}
        return {name: value for name, value in plain.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The contents of a file."""

    state: dict[str, Tensor]
    header: Header
    notes: tuple[str, ...] = ()  # what a person should know, in sentences


def write_weights(path: Path, state: Mapping[str, Tensor], header: Header) -> None:
    """Write safetensors, whole or not at all.

    Raises:
        StorageProblem: if the disk does not take it.
    """
    write_bytes(path, weights_content(state, header))


def weights_content(state: Mapping[str, Tensor], header: Header) -> bytes:
    """A safetensors file; the same for the same numbers and header."""
    known = header.to_dict() | {"format": FORMAT}
    # Numbers that share memory are written apart.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    return _told(save(tensors), {"format": "pt", KEY: json.dumps(known)})


def _told(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """A safetensors file without metadata, with it: in this order, where `save` has them in any.

    Source: the format in safetensors' README (length of the JSON header, header, numbers).
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps({"__metadata__": dict(metadata)} | json.loads(content[8:start])).encode()
    header += b" " * (-len(header) % 8)  # numbers begin at a multiple of 8 bytes
    return len(header).to_bytes(8, "little") + header + content[start:]


def read_weights(path: str | Path, *, own: Collection[str] = ()) -> Weights:
    """Read `.safetensors`, or a PyTorch file of tensors; neither can run code.

    Which of them it is tells its content, so that it may bear any name. What a training program
    wrapped around a state dict is taken off: see `state_dicts.unwrapped`.

    Args:
        own: names of the network that the weights are for, where these are not a design's.

    Raises:
        InvalidSetting: if there is no such file, or it holds something else.
        StorageProblem: if it may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidSetting(f"{path} is a folder; name a file of weights in it{_such_as(path)}")
    if not path.is_file():
        raise InvalidSetting(f"no such file of weights: {path}; name a .safetensors or .pth file")
    if path.name.endswith(_INDEX):
        raise InvalidSetting(
            f"{path} lists the parts of weights and holds none; join the parts where they came "
            "from and name the one file"
        )
    if is_safetensors(path):
        return _read_safetensors(path, own)
    state, notes = unwrapped(_read_pickle(path), path, own=own)
    return Weights(state=state, header=Header(), notes=notes)


def read_shapes(path: str | Path) -> dict[str, Tensor]:
    """Names and shapes of the weights in a file, as tensors without numbers: on torch's "meta".

    Raises:
        InvalidSetting: if it holds no weights.
        StorageProblem: if it may not be read.
    """
    path = Path(path)
    if not is_safetensors(path):
        return unwrapped(_read_pickle(path, device="meta"), path)[0]
    try:
        with safe_open(path, framework="pt") as opened:
            shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise InvalidSetting(_unreadable(path, problem)) from None
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    return unwrapped(state, path)[0]


def _unreadable(path: Path, problem: Exception) -> str:
    return (
        f"{path} is no readable safetensors file: {problem}; restore it from where it came from, "
        "or name another"
    )


def _such_as(folder: Path) -> str:
    with guarded(folder):
        files = sorted(f.name for f in folder.iterdir() if f.suffix in _ENDINGS)
    return f", such as {files[0]}" if files else ""


def is_safetensors(path: str | Path) -> bool:
    """Whether a path is that of a safetensors file, by its content or, if that is none, its name.

    Raises:
        StorageProblem: if it is a file that may not be read.
    """
    path, start = Path(path), _start(path)
    named = path.suffix == ".safetensors" and not start.startswith(_PYTORCH)
    return start[8:] == b"{" or named


def is_pytorch(path: str | Path) -> bool:
    """Whether a path is that of a file that `torch.save` wrote, by its content.

    Raises:
        StorageProblem: if it is a file that may not be read.
    """
    return _start(path).startswith(_PYTORCH)


def _start(path: str | Path) -> bytes:
    """What a file begins with; nothing if there is none."""
    path = Path(path)
    if not path.is_file():
        return b""
    with guarded(path), path.open("rb") as handle:
        return handle.read(9)


def file_digest(path: str | Path) -> str:
    """Of a file's content: twelve hexadecimal digits.

    Raises:
        StorageProblem: if it cannot be read.
    """
    path = Path(path)
    with guarded(path), path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:12]


def _read_safetensors(path: Path, own: Collection[str]) -> Weights:
    try:
        with safe_open(path, framework="pt") as opened:
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as problem:
        raise InvalidSetting(_unreadable(path, problem)) from None
    if SNAPSHOT_KEY in metadata:
        raise InvalidSetting(
            f"{path} is where a training goes on from, not a network; name best.safetensors beside "
            "it"
        )
    if KEY in metadata:
        return Weights(state=state, header=_header(path, metadata[KEY]))
    state, notes = unwrapped(state, path, own=own)
    return Weights(state=state, header=Header(), notes=notes)


def _header(path: Path, text: str) -> Header:
    try:
        plain = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise InvalidSetting(
            f"{path}: header: not readable as JSON: {problem}; write the file again"
        ) from None
    if isinstance(plain, dict) and (reason := version_problem(plain.pop("format", 1))):
        raise InvalidSetting(f"{path} {reason}; {UPGRADE}")
    try:
        return _from_plain(plain)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "its JSON"
        raise InvalidSetting(f"{path}: header: {place}: {first['msg']}") from None
    except InvalidSetting as problem:
        raise InvalidSetting(f"{path}: header: {problem}; write the file again") from None


def _from_plain(plain: Any) -> Header:
    """What `Header.to_dict` gave; of a style or preparation in part, the rest is autoscale's own.

    Raises:
        ValidationError: if a value is of another kind.
        InvalidSetting: if one is out of range.
    """
    if not isinstance(plain, dict):
        return TypeAdapter(Header).validate_python(plain)  # which says so
    rest = dict(plain)
    for name, kind in (("style", Style), ("preparation", Preparation)):
        given = {field.name: rest.pop(field.name, None) for field in fields(kind)}
        given = {name: value for name, value in given.items() if value is not None}
        if "aspect" in given:
            given["aspect"] = aspect_of(given["aspect"])
        rest[name] = TypeAdapter(kind).validate_python(given) if given else None
    if rest.get("answering") is not None:
        rest["answering"] = Answering.from_dict(rest["answering"])
        _require_thresholds(rest["answering"], rest.get("classes"))
    return TypeAdapter(Header).validate_python(rest)


def _require_thresholds(answering: Answering, classes: Any) -> None:
    """
    Raises:
        InvalidSetting: if thresholds are of another number of classes.
    """
    given = answering.thresholds
    if given is not None and (not isinstance(classes, list) or len(classes) != len(given)):
        raise InvalidSetting(f"{len(given)} thresholds are not one for each of its classes")


def _read_pickle(path: Path, *, device: str = "cpu") -> Any:
    """What `torch.save` wrote: tensors and plain data; nothing that could run code is loaded.

    Raises:
        InvalidSetting: if it is damaged, or holds objects of a class; the class is named.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")  # what torch thinks of it comes as an error too
            with path.open("rb") as handle:  # by a path torch judges its ending too
                return torch.load(handle, map_location=device, weights_only=True)
    except Exception as problem:  # damaged files make torch raise nearly anything
        raise InvalidSetting(_refusal(path, str(problem).strip())) from None


def _refusal(path: Path, problem: str) -> str:
    if found := re.search(r"(?:GLOBAL|class|type) `?([A-Za-z_][\w.]*\.[\w.]+\w)", problem):
        return (
            f"{path} holds an object of {found[1]}; autoscale loads nothing that could run code: "
            "where it came from, save network.state_dict() alone"
        )
    if "TorchScript" in problem:
        return (
            f"{path} is a TorchScript program; autoscale loads nothing that could run code: where "
            "it came from, save network.state_dict()"
        )
    return (
        f"{path} is damaged or no file of plain tensors; autoscale loads nothing that could run "
        "code: convert it to .safetensors where it came from"
    )
