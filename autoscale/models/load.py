"""A network together with its weights and what is known about them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

import torch
from torch import nn

from autoscale.datasets.pictures.preparation import Channels, Preparation
from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting
from autoscale.models.count import load_network
from autoscale.models.expected import Asked, expected_by
from autoscale.network.build import build
from autoscale.network.weights import Style, class_rows, load_weights
from autoscale.runs.weights import Header, is_pytorch, is_safetensors, read_weights

#: Of weights that are drawn because none are given.
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network ready for use, in evaluation mode."""

    name: str
    network: nn.Module
    architecture: Architecture | None  # None for a module of the user's
    resolution: int  # pixels per side
    style: Style
    preparation: Preparation  # what it expects of pictures
    header: Header
    trained: bool  # has weights from a file
    notes: tuple[str, ...] = ()  # what a person should know, in sentences

    @property
    def num_classes(self) -> int | None:
        """Logits; None where only running it would tell."""
        return self.architecture.num_classes if self.architecture else None


class Loading(TypedDict, total=False):
    """The options of `load_model`, for functions that take a network by its name too."""

    weights: str | Path | None
    style: str | None
    mean: Channels | None
    deviation: Channels | None
    interpolation: str | None
    white_level: int | None
    resolution: int | None


def as_model(model: Model | str | Path, **loading: Unpack[Loading]) -> Model:
    """`model` itself, or what `load_model` makes of its name.

    Raises:
        InvalidSetting: for options of loading beside a network that is loaded already, and as
            `load_model` raises it.
        InvalidArchitecture: if a file is no design.
    """
    if not isinstance(model, Model):
        return load_model(model, **loading)
    if given := [option for option, value in loading.items() if value is not None]:
        raise InvalidSetting(
            f"{model.name} is loaded already; give {' and '.join(given)} to load_model"
        )
    return model


def load_model(
    name: str | Path,
    *,
    weights: str | Path | None = None,
    style: str | None = None,
    mean: Channels | None = None,
    deviation: Channels | None = None,
    interpolation: str | None = None,
    white_level: int | None = None,
    resolution: int | None = None,
) -> Model:
    """The network `name` with the weights of a file, for as many classes as these know.

    Args:
        name: as `count` takes it, or a safetensors file whose header holds an architecture.
        weights: `.safetensors` or a PyTorch file of tensors; without, weights are random.
        style: autoscale, timm or tf: the padding and batch-norm epsilon that the weights expect. By
            default what the file says or its names tell, autoscale's for our names. A module of the
            user's has none.
        mean: of red, green and blue in 0..1, as the weights expect it subtracted; by default what
            `expected.expected_by` finds out.
        deviation: likewise, divided by.
        interpolation: bilinear or bicubic, of resizing pictures; likewise.
        white_level: what is shown white of pictures of 16 bits, 1 to 65535; likewise.
        resolution: pixels per side; the design's own, or 224 for a module, if not given.

    Raises:
        InvalidSetting: if a file or name is not there, weights do not fit, or timm's names come
            without a style.
        InvalidArchitecture: if a file is no design.
    """
    name, weights = str(name), None if weights is None else str(weights)
    if alone := is_safetensors(name):
        if weights is not None and weights != name:
            raise InvalidSetting(f"{name} is a file of weights already; leave --weights out")
        weights = name
    elif is_pytorch(name):
        raise _nameless(name)
    asked = Asked(
        style=style, mean=mean, deviation=deviation, interpolation=interpolation,
        white_level=white_level,
    )  # fmt: skip
    found: nn.Module | Architecture | None = None
    if not alone:
        found = load_network(name)
    if isinstance(found, nn.Module) and style is not None:
        raise InvalidSetting(
            f"{name} is a module of your own, which pads and normalises as it is written; leave "
            "--style out"
        )
    own = found.state_dict() if isinstance(found, nn.Module) else ()
    held = read_weights(weights, own=own) if weights is not None else None
    if found is None:
        assert held is not None
        found = _design(name, held.header)
    designed = isinstance(found, Architecture)
    expected = expected_by(held, weights, network=name, asked=asked, designed=designed)
    notes = [*expected.notes]
    if isinstance(found, Architecture):
        if resolution is not None:
            found = replace(found, resolution=resolution)
        if held is not None and (count := class_rows(held.state)):
            found = replace(found, num_classes=count)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network: nn.Module = build(found, **expected.style.options)
    else:
        network = found
    if held is not None:
        notes += load_weights(network, held.state)
    else:
        notes.append("no weights were given: they are random, and the answers mean nothing")
    architecture = found if isinstance(found, Architecture) else None
    return Model(
        name=Path(name).stem if architecture and Path(name).suffix else name,
        network=network.eval(),
        architecture=architecture,
        resolution=architecture.resolution if architecture else resolution or 224,
        style=expected.style,
        preparation=expected.preparation,
        header=replace(held.header if held else Header(), classes=expected.classes),
        trained=held is not None,
        notes=tuple(notes),
    )


def _design(file: str, header: Header) -> Architecture:
    if header.architecture is None:
        raise _nameless(file)
    return Architecture.from_dict(header.architecture)


def _nameless(file: str) -> InvalidSetting:
    return InvalidSetting(
        f"{file} holds weights and does not say which network they belong to; name that and give "
        "the file as --weights"
    )
