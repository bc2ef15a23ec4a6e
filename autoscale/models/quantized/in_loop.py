"""Networks in int8 while many are trained: which designs can be, and one that was just trained.

What `quantize` does is done by the same functions with the same defaults; the network then answers
in float32 with all numbers rounded to their steps, which needs no package.
"""

from __future__ import annotations

from torch import nn

from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.datasets.pictures.selection import Selection, within_limit
from autoscale.design.architecture import Architecture
from autoscale.design.space import SearchSpace
from autoscale.design.style import Padding
from autoscale.errors import InvalidArchitecture, InvalidSetting
from autoscale.models.quantized.calibrated import batches, lowered
from autoscale.models.settings import CalibrationSettings
from autoscale.quantization.learning.fake import FakeQuantized
from autoscale.quantization.lower import require_operations, unsupported
from autoscale.quantization.post_training import after_training
from autoscale.training.batches import resized

#: What a graph expects of pictures: numbers 0..255 as they are.
AS_BYTES = Preparation(mean=(0.0,) * 3, deviation=(1 / 255,) * 3)
_WAY_OUT = "take it out of the space, or leave out --dtype int8"


def require_int8_space(space: SearchSpace) -> None:
    """
    Raises:
        InvalidArchitecture: if some design of a space cannot be had in int8, naming its block and
            the choice that leads to it.
    """
    first = (0,) * len(space.parameters)
    if lacking := unsupported(space.architecture_at(first)):
        raise InvalidArchitecture(f"the space {space.name!r} has no int8 networks: {lacking}")
    # What blocks and norms a part has is one choice each, so that varying one at a time meets all.
    for place, parameter in enumerate(space.parameters):
        for number, label in enumerate(parameter.labels):
            point = (*first[:place], number, *first[place + 1 :])
            if lacking := unsupported(space.architecture_at(point)):
                raise InvalidArchitecture(
                    f"{parameter.name} of the space {space.name!r} may be {label}, and that has no "
                    f"int8 network: {lacking}; {_WAY_OUT}"
                )


def require_int8_design(network: object, *, name: str) -> None:
    """
    Args:
        network: what is to be trained; only an `Architecture` is known layer by layer.
        name: how people call it.

    Raises:
        InvalidArchitecture: if it cannot be had in int8.
        InvalidSetting: if it is code of the user's.
    """
    if not isinstance(network, Architecture):
        raise InvalidSetting(
            f"{name} is code of your own, whose layers no int8 network is known for; leave out "
            "--dtype int8"
        )
    try:
        require_operations(network)
    except InvalidArchitecture:
        raise InvalidArchitecture(
            f"{name} has no int8 network: {unsupported(network)}; leave out --dtype int8"
        ) from None


def in_int8(
    network: nn.Module,
    architecture: Architecture,
    images: Images,
    *,
    padding: Padding,
    preparation: Preparation,
    classes: int,
    seed: int,
) -> FakeQuantized:
    """A trained network in int8, which takes pixels 0..255 as `AS_BYTES` prepares them.

    Args:
        network: of that architecture; it stays as it is.
        images: for training, of any size; some of them calibrate.
        preparation: its mean and deviation are what the network expects of its input.
        classes: of the images.
        seed: of the choice of images.

    Raises:
        EvaluationFailed: if maps of the network are not finite.
    """
    settings = CalibrationSettings()
    limit = max(settings.calibration_images, classes)
    chosen = within_limit(images.labels, Selection(seed=seed, limit=limit), classes)
    some = images if chosen is None else images.subset(chosen)
    pixels = resized(some, architecture.image_size).pixels
    graph = lowered(network, architecture, padding=padding, preparation=preparation)
    _, found = after_training(graph, batches(pixels), method=settings.ranges)  # type: ignore[arg-type]
    return FakeQuantized(found).eval()
