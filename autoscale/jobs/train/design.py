"""What is trained: the network that a command names, for the images at hand."""

from dataclasses import dataclass, replace
from pathlib import Path

from autoscale.aspect import Aspect
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.rounding import at_resolution
from autoscale.errors import InvalidSetting
from autoscale.jobs.family.kept import load_member
from autoscale.jobs.train.settings import TrainSettings
from autoscale.listener import Listener
from autoscale.models.count import is_member, load_architecture
from autoscale.scaling.family import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is to be trained."""

    name: str
    architecture: Architecture
    dropout: float = 0.0
    drop_path: float = 0.0


def design_of(settings: TrainSettings) -> Design:
    """The network by its name or file, with what is asked of its regularisation."""
    network = settings.network
    path = Path(network)
    if path.is_file() and is_member(path):
        member = load_member(path)
        if not isinstance(member, Member):
            raise InvalidSetting(f"{network} is a member of a model of your own; train it yourself")
        found = Design(
            name=member.name,
            architecture=member.architecture,
            dropout=member.dropout,
            drop_path=member.drop_path,
        )
    else:
        name = path.stem if path.suffix else network
        found = Design(name=name, architecture=load_architecture(network))
    return replace(
        found,
        dropout=found.dropout if settings.dropout is None else settings.dropout,
        drop_path=found.drop_path if settings.drop_path is None else settings.drop_path,
    )


def fitted(
    design: Design,
    resolution: int,
    num_classes: int,
    listener: Listener,
    *,
    aspect: Aspect | None = None,
) -> Architecture:
    """The design for these images, and a word about strides that it lost.

    Args:
        aspect: of the images; the design's own if not given.
    """
    own = replace(design.architecture, num_classes=num_classes)
    asked = replace(own, resolution=resolution, aspect=own.aspect if aspect is None else aspect)
    fitted = at_resolution(own, resolution, aspect)
    if fitted != asked:
        listener.notice(
            f"strides are taken away for {asked.image_size} pixels, reduction {asked.reduction} "
            f"becomes {fitted.reduction}: {cost(fitted).macs:,} multiply-adds instead of "
            f"{cost(asked).macs:,}"
        )
    return fitted
