"""Weights on disk: safetensors, which hold numbers and text but no code.

The header says under `autoscale` what the numbers belong to, so that a file can be used alone.
"""

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from autoscale.design.style import Padding, Style
from autoscale.design.versions import FORMAT, UPGRADE, version_problem
from autoscale.errors import InvalidSetting
from autoscale.runs.store import guarded, write_bytes
from autoscale.training.preparation import Area, Channels, Interpolation, Preparation

#: The key of our part of a safetensors header.
KEY = "autoscale"
#: Names under which training programs nest a state dict in a checkpoint, best first.
_NESTED = ("state_dict_ema", "state_dict", "model_ema", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file of weights says about itself; None where it is silent."""

    architecture: dict[str, Any] | None = None  # `Architecture.to_dict`
    style: Style | None = None  # of `build`
    preparation: Preparation | None = None  # of pictures
    classes: tuple[str, ...] | None = None  # names, in the order of the logits
    accuracy: float | None = None  # share of images
    accuracy_of: str | None = None  # on which images
    provenance: str | None = None  # where the weights come from

    def to_dict(self) -> dict[str, Any]:
        """What is known, as plain data in one level."""
        plain: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("style", "preparation")
        }
        plain |= asdict(self.style) if self.style else {}
        plain |= self.preparation.to_dict() if self.preparation else {}
        return {name: value for name, value in plain.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """A header as it lies in the file: `Header.to_dict`; None where nothing is said."""

    architecture: dict[str, Any] | None = None
    padding: Padding | None = None
    norm_eps: float | None = None
    mean: Channels | None = None
    deviation: Channels | None = None
    area: Area | None = None
    interpolation: Interpolation | None = None
    white_level: int | None = None
    classes: tuple[str, ...] | None = None
    accuracy: float | None = None
    accuracy_of: str | None = None
    provenance: str | None = None

    __pydantic_config__ = {"allow_inf_nan": False}  # noqa: RUF012  (read by pydantic alone)

    def header(self) -> Header:
        """Of a style or preparation that is given in part, the rest is autoscale's own.

        Raises:
            InvalidSetting: if a number is out of range.
        """
        style, preparation = self._given(Style), self._given(Preparation)
        return Header(
            architecture=self.architecture,
            style=Style(**style) if style else None,
            preparation=Preparation(**preparation) if preparation else None,
            classes=self.classes,
            accuracy=self.accuracy,
            accuracy_of=self.accuracy_of,
            provenance=self.provenance,
        )

    def _given(self, kind: type[Style] | type[Preparation]) -> dict[str, Any]:
        found = {field.name: getattr(self, field.name) for field in fields(kind)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The contents of a file."""

    state: dict[str, Tensor]
    header: Header


def write_weights(path: Path, state: Mapping[str, Tensor], header: Header) -> None:
    """Write safetensors, whole or not at all.

    Raises:
        StorageProblem: if the disk does not take it.
    """
    known = header.to_dict() | {"format": FORMAT}
    metadata = {"format": "pt", KEY: json.dumps(known)}
    # Numbers that share memory are written apart.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    write_bytes(path, save(tensors, metadata))


def read_weights(path: str | Path) -> Weights:
    """Read `.safetensors`, or a PyTorch file of tensors; neither can run code.

    Raises:
        InvalidSetting: if there is no such file, or it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidSetting(f"no such file of weights: {path}; name a .safetensors or .pth file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return Weights(state=_read_pickle(path), header=Header())


def file_digest(path: str | Path) -> str:
    """Of a file's content: twelve hexadecimal digits.

    Raises:
        StorageProblem: if it cannot be read.
    """
    path = Path(path)
    with guarded(path), path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:12]


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as opened:
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as problem:
        raise InvalidSetting(f"{path} is no readable safetensors file: {problem}") from None
    return Weights(state=state, header=_header(path, metadata.get(KEY)))


def _header(path: Path, text: str | None) -> Header:
    if text is None:
        return Header()
    try:
        plain = json.loads(text)
        if isinstance(plain, dict) and (reason := version_problem(plain.pop("format", 1))):
            raise InvalidSetting(f"{path} {reason}; {UPGRADE}")
        stored = TypeAdapter(_Stored).validate_python(plain)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise InvalidSetting(
            f"{path}: header: not readable as JSON: {problem}; write the file again"
        ) from None
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "its JSON"
        raise InvalidSetting(f"{path}: header: {place}: {first['msg']}") from None
    try:
        return stored.header()
    except InvalidSetting as problem:
        raise InvalidSetting(f"{path}: header: {problem}; write the file again") from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of it comes as an error too
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0][:160] if str(problem).strip() else "damaged"
        raise InvalidSetting(
            f"{path} is no file of plain tensors ({reason}); autoscale loads nothing that could "
            "run code: convert it to .safetensors where it came from"
        ) from None
    for name in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InvalidSetting(f"{path} holds no state dict of tensors; save network.state_dict()")
    return {str(name).removeprefix("module."): value for name, value in found.items()}
