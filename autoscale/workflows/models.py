"""A network together with its weights and what is known about them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

import torch
from torch import nn

from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.network.weights import STYLES, Style, has_timm_names, load_weights
from autoscale.runs.weights import Header, Weights, read_weights
from autoscale.training.preparation import Channels, Preparation
from autoscale.workflows.count import load_network

#: Of ImageNet's training images, and what most of timm's weights expect.
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Channels = (0.229, 0.224, 0.225)
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
    resolution: int | None = None,
) -> Model:
    """The network `name` with the weights of a file, for as many classes as these know.

    Args:
        name: as `count` takes it, or a `.safetensors` file whose header holds an architecture.
        weights: `.safetensors` or a PyTorch file of tensors; without, weights are random.
        style: autoscale, timm or tf: the padding and batch-norm epsilon that the weights expect. By
            default what the file says, autoscale's for our names.
        resolution: pixels per side; the design's own, or 224 for a module, if not given.

    Raises:
        InvalidSetting: if a file or name is not there, weights do not fit, or timm's names come
            without a style.
        InvalidArchitecture: if a file is no design.
    """
    name, weights = str(name), None if weights is None else str(weights)
    if name.endswith(".safetensors"):
        if weights is not None and weights != name:
            raise InvalidSetting(f"{name} is a file of weights already; leave --weights out")
        weights = name
    held = read_weights(weights) if weights is not None else None
    header = held.header if held else Header()
    found = _design(name, header)
    chosen = style_of(held, weights, asked=style)
    notes: list[str] = []
    if isinstance(found, Architecture):
        if resolution is not None:
            found = replace(found, resolution=resolution)
        if held is not None:
            found = _with_classes_of(held, found)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network: nn.Module = build(found, **chosen.options)
    else:
        network = found
    if held is not None:
        notes += load_weights(network, held.state)
    else:
        notes.append("no weights were given: they are random, and the answers mean nothing")
    foreign = held is not None and has_timm_names(held.state)
    architecture = found if isinstance(found, Architecture) else None
    return Model(
        name=Path(name).stem if architecture and Path(name).suffix else name,
        network=network.eval(),
        architecture=architecture,
        resolution=architecture.resolution if architecture else resolution or 224,
        style=chosen,
        preparation=_preparation(header, foreign=foreign),
        header=header,
        trained=held is not None,
        notes=tuple(notes),
    )


def _preparation(header: Header, *, foreign: bool) -> Preparation:
    ours = Preparation()
    return Preparation(
        mean=header.mean or (IMAGENET_MEAN if foreign else ours.mean),
        deviation=header.deviation or (IMAGENET_DEVIATION if foreign else ours.deviation),
    )


def _design(name: str, header: Header) -> nn.Module | Architecture:
    if not name.endswith(".safetensors"):
        return load_network(name)
    if header.architecture is None:
        raise InvalidSetting(
            f"{name} does not say which network it belongs to; name that and give the file as "
            "--weights"
        )
    return Architecture.from_dict(header.architecture)


def style_of(held: Weights | None, weights: str | None, *, asked: str | None) -> Style:
    """What the weights of the file `weights` expect: as asked, else as the file says.

    Raises:
        InvalidSetting: if there is no such style, or timm's names come without one.
    """
    if asked is not None:
        if asked not in STYLES:
            raise InvalidSetting(f"no style {asked!r}; choose from {', '.join(STYLES)}")
        return STYLES[asked]
    default = STYLES["autoscale"]
    if held is None:
        return default
    header = held.header
    if header.padding is None and header.norm_eps is None and has_timm_names(held.state):
        raise InvalidSetting(
            f"{weights} has timm's names and does not say what the weights expect; add --style tf "
            "(timm's tf_efficientnet...: same padding, epsilon 1e-3) or --style timm (the others)"
        )
    return Style(
        padding=header.padding or default.padding,
        norm_eps=default.norm_eps if header.norm_eps is None else header.norm_eps,
    )


def _with_classes_of(held: Weights, found: Architecture) -> Architecture:
    """The design for as many classes as the weights know."""
    for name in ("head.classifier.weight", "classifier.weight"):
        if name in held.state and held.state[name].ndim == 2:
            return replace(found, num_classes=held.state[name].shape[0])
    return found
