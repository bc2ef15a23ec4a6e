"""A network together with its weights and what is known about them."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from autoscale.aspect import Aspect, ImageSize
from autoscale.datasets.pictures.preparation import Preparation, in_bands
from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting
from autoscale.models.count import load_network
from autoscale.models.expected import expected_by
from autoscale.models.settings import LoadSettings
from autoscale.network.build import build
from autoscale.network.image import channels_of
from autoscale.network.weights import Style, class_rows, load_weights
from autoscale.runs.sources.find import find
from autoscale.runs.weights import Header, Weights, is_pytorch, is_safetensors, read_weights
from autoscale.settings.command import settings_of
from autoscale.settings.function import takes_settings

#: Of weights that are drawn because none are given.
SEED = 0
#: How files end that are written for other runtimes.
EXPORTED = (".tflite", ".onnx", ".pt2", ".mlpackage", ".param", ".h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network ready for use, in evaluation mode."""

    name: str
    network: nn.Module
    architecture: Architecture | None  # None for a module of the user's
    resolution: int  # pixels of the height of its images
    style: Style
    preparation: Preparation  # what it expects of pictures
    header: Header
    trained: bool  # has weights from a file
    notes: tuple[str, ...] = ()  # what a person should know, in sentences

    @property
    def aspect(self) -> Aspect:
        """Width of its images, divided by their height."""
        return self.preparation.aspect

    @property
    def image_size(self) -> ImageSize:
        """Of its images, pixels."""
        return self.preparation.image_size(self.resolution)

    @property
    def num_classes(self) -> int | None:
        """Logits; None where only running it would tell."""
        return self.architecture.num_classes if self.architecture else None


def as_model(model: Model | str | Path, settings: LoadSettings) -> Model:
    """`model` itself, or what `load_model` makes of its name.

    Raises:
        InvalidSetting: for settings of loading beside a network that is loaded already, and as
            `load_model` raises it.
        InvalidArchitecture: if a file is no design.
    """
    if not isinstance(model, Model):
        return load_model(model, settings)
    loading = {setting.name for setting in settings_of(LoadSettings)}
    if given := [name for name in settings.changed() if name in loading]:
        raise InvalidSetting(
            f"{model.name} is loaded already; give {' and '.join(given)} to load_model"
        )
    return model


@takes_settings(LoadSettings)
def load_model(name: str | Path, settings: LoadSettings) -> Model:
    """The network `name` with the weights of a file, for as many classes as these know.

    A module of the user's has no style. What pictures are prepared by, `expected.expected_by` finds
    out where it is not given.

    Args:
        name: as `count` takes it, or a safetensors file whose header holds an architecture.

    Raises:
        InvalidSetting: if a file or name is not there, weights do not fit, or timm's names come
            without a style.
        InvalidArchitecture: if a file is no design.
    """
    name = str(name)
    if Path(name).suffix in EXPORTED and Path(name).exists():
        raise InvalidSetting(
            f"{name} is a file for another runtime, which cannot be read back; give the "
            ".safetensors that it was written from"
        )
    weights = _weights_of(name, settings)
    found = None if is_safetensors(name) else load_network(name)
    if isinstance(found, nn.Module) and settings.style is not None:
        raise InvalidSetting(
            f"{name} is a module of your own, which pads and normalises as it is written; leave "
            "--style out"
        )
    own = found.state_dict() if isinstance(found, nn.Module) else ()
    held = read_weights(weights, own=own) if weights is not None else None
    if found is None:
        assert held is not None
        found = _design(name, held.header)
    expected = expected_by(
        held,
        weights,
        network=name,
        asked=settings,
        designed=isinstance(found, Architecture),
    )
    network, architecture = _built(found, settings, held, expected.style)
    preparation = _for_network(
        network, expected.preparation, settings, name=name, trained=held is not None
    )
    if architecture is not None:  # which decides the shape of its images
        preparation = replace(preparation, aspect=architecture.aspect)
    elif settings.aspect is not None:
        preparation = replace(preparation, aspect=settings.aspect)
    notes = [*expected.notes]
    if held is not None:
        notes += load_weights(network, held.state)
    else:
        notes.append("no weights were given: they are random, and the answers mean nothing")
    model = Model(
        name=Path(name).stem if architecture and Path(name).suffix else name,
        network=network.eval(),
        architecture=architecture,
        resolution=architecture.resolution if architecture else settings.resolution or 224,
        style=expected.style,
        preparation=preparation,
        header=replace(
            held.header if held else Header(),
            classes=expected.classes,
            origin=expected.origin,
            licence=expected.licence,
        ),
        trained=held is not None,
        notes=tuple(notes),
    )
    return replace(model, notes=(*notes, *_chosen_otherwise(model)))


def changed_since_measured(model: Model) -> str | None:
    """How the network was when its accuracy was measured, if that was otherwise; else None."""
    header, changes = model.header, []
    if header.architecture is not None:
        measured = Architecture.from_dict(header.architecture)
        height, width = measured.image_size
        if measured.image_size != model.image_size:
            changes.append(f"at {height} x {width} pixels")
        at = {"resolution": height, "aspect": measured.aspect}
        if measured != (model.architecture and replace(model.architecture, **at)):
            changes.append("with another design")
    if header.style not in (None, model.style):
        changes.append("with another padding or epsilon of batch norm")
    prepared = header.preparation
    if prepared is not None and replace(prepared, aspect=model.aspect) != model.preparation:
        changes.append("with another preparation of pictures")
    return " and ".join(changes) or None


def _chosen_otherwise(model: Model) -> tuple[str, ...]:
    """What to say if a temperature and a threshold were chosen for the network as it was."""
    change = changed_since_measured(model)
    if model.header.answering is None or change is None:
        return ()
    return (
        f"temperature and threshold were chosen {change}: calibrate the network as it is used here",
    )


def _weights_of(name: str, settings: LoadSettings) -> str | None:
    """The file of weights: the network's own name if that is one, else what is given.

    Raises:
        InvalidSetting: if both name one, or the name's does not say which network it belongs to.
    """
    if is_safetensors(name):
        if settings.weights not in (None, name):
            raise InvalidSetting(f"{name} is a file of weights already; leave --weights out")
        return name
    if is_pytorch(name):
        raise _nameless(name)
    return str(find(settings.weights)) if settings.weights is not None else None


def _for_network(
    network: nn.Module,
    preparation: Preparation,
    settings: LoadSettings,
    *,
    name: str,
    trained: bool,
) -> Preparation:
    """What a network expects of pictures, in as many channels as it takes.

    Raises:
        InvalidSetting: if the weights know other pictures and these cannot become the network's,
            or numbers are given for other channels.
    """
    channels = channels_of(network)
    if channels == preparation.channels:
        return preparation
    if in_bands(channels) and preparation.channels == 3 and not trained:
        return settings.over(preparation.in_bands(channels))
    if in_bands(channels) or in_bands(preparation.channels):
        raise InvalidSetting(
            f"the weights expect {preparation.channels} channels, and {name} takes {channels}; "
            "name the network that they belong to, or give as many numbers as --mean and "
            "--deviation"
        )
    if channels == 3:
        raise InvalidSetting(
            f"the weights expect grey images, and {name} takes images in colour; name the network "
            "that they belong to"
        )
    return settings.over(preparation.in_grey())


def _built(
    found: nn.Module | Architecture, settings: LoadSettings, held: Weights | None, style: Style
) -> tuple[nn.Module, Architecture | None]:
    """The network, and its design for the images asked for and as many classes as the weights
    have."""
    if isinstance(found, nn.Module):
        return found, None
    if settings.resolution is not None:
        found = replace(found, resolution=settings.resolution)
    if settings.aspect is not None:
        found = replace(found, aspect=settings.aspect)
    if held is not None and (count := class_rows(held.state)):
        found = replace(found, num_classes=count)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return build(found, **style.options), found


def _design(file: str, header: Header) -> Architecture:
    if header.architecture is None:
        raise _nameless(file)
    return Architecture.from_dict(header.architecture)


def _nameless(file: str) -> InvalidSetting:
    return InvalidSetting(
        f"{file} holds weights and does not say which network they belong to; name that and give "
        "the file as --weights"
    )
