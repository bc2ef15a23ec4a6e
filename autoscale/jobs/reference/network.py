"""A published network with its weights, ready to be fine-tuned on the images of a run."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoscale.aspect import SQUARE, Aspect
from autoscale.design.amounts import format_count
from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost, cost
from autoscale.design.rounding import at_resolution
from autoscale.errors import InvalidSetting
from autoscale.jobs.groups.networks import WeightsSettings
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.reference.settings import Asked, ReferenceSettings, split_pixels
from autoscale.jobs.start import Start
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener
from autoscale.metrics.names import ACCURACY, Quality
from autoscale.network.build import build
from autoscale.network.threads import threads_of_torch
from autoscale.network.weights import class_rows, load_weights

#: How they are trained.
RECIPE = "finetune"

_UNSAID = ("--style", "--mean", "--weights-of")


@dataclass(frozen=True, kw_only=True)
class ReferenceNetwork:
    """A published network for the images of a run, with the weights that it begins with."""

    name: str
    architecture: Architecture  # with the classes of the images
    start: Start

    @property
    def cost(self) -> Cost:
        """Of one image."""
        return cost(self.architecture)

    @property
    def label(self) -> str:
        """How people call it, with what it costs."""
        return (
            f"{self.name} at {self.architecture.image_size} pixels "
            f"({format_count(self.cost.macs)} multiply-adds)"
        )

    def proxy(self, judge: Proxy, *, epochs: int) -> Proxy:
        """How it is trained and judged where candidates are by `judge`; images to be loaded."""
        return Proxy(
            source=judge.source,
            recipe=recipe_named(RECIPE, epochs=epochs),
            kernels=judge.kernels,
            dtype=judge.dtype,
            balance=judge.balance,
            device=judge.device,
            threads=judge.threads,
            transfer=Transfer(start=self.start),
            fingerprint=judge.fingerprint,
        )

    def key(self, judge: Proxy) -> str:
        """What tells its trainings from all others, in a few letters."""
        plain: Mapping[str, Any] = {
            "design": self.architecture.to_dict(),
            "start": self.start.settings(),
            "recipe": self.proxy(judge, epochs=1).record(),
            "beside": judge.record(),
            "held_out": judge.test,
        }
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def find_references(
    settings: ReferenceSettings,
    *,
    resolution: int,
    aspect: Aspect = SQUARE,
    classes: int,
    listener: Listener,
    dtype: str = "float32",
    quality: Quality = ACCURACY,
) -> tuple[ReferenceNetwork, ...]:
    """The published networks that are asked for; nothing is trained.

    Args:
        resolution: pixels in height where none are asked for.
        aspect: of the images, whatever the network was made for.
        classes: of the images.
        listener: told what a person should know of them.
        dtype: of the networks that are scored.
        quality: what these are compared by.

    Raises:
        InvalidArchitecture: naming the one that cannot be had in int8, if that is scored.
        InvalidSetting: for a quality other than accuracy, or naming the one whose weights cannot
            be had or read, whose network or preparation of pictures they do not tell, or that
            cannot take so few pixels.
    """
    if settings.reference and quality != ACCURACY:
        raise InvalidSetting(
            f"--rival {settings.reference[0]} is compared by accuracy, and networks are judged by "
            f"{quality.label} here; leave --rival out"
        )
    found: list[ReferenceNetwork] = []
    for text in settings.reference:
        try:
            network = _found(
                split_pixels(text), resolution=resolution, aspect=aspect, classes=classes
            )
        except InvalidSetting as problem:
            raise InvalidSetting(f"--rival {text}: {_with_way_out(str(problem))}") from None
        if dtype == "int8":
            from autoscale.models.quantized.in_loop import require_int8_design

            require_int8_design(network.architecture, name=f"--rival {text}")
        if any((f.name, f.architecture) == (network.name, network.architecture) for f in found):
            network = replace(network, name=f"{network.name} ({text})")
        for note in network.start.expected.notes:
            listener.notice(f"{network.name}: {note}")
        found.append(network)
    return tuple(found)


def _found(asked: Asked, *, resolution: int, aspect: Aspect, classes: int) -> ReferenceNetwork:
    start, design, name = Start.of_published(WeightsSettings(weights=asked.source))
    assert start.held is not None
    state = start.held.state
    rows = (None,) * design.num_classes if class_rows(state) is None else None
    with threads_of_torch(1):  # refuses weights that are incomplete or not finite
        load_weights(build(design, **start.expected.style.options), state, rows=rows)
    own = replace(design, num_classes=classes)
    architecture = at_resolution(own, asked.pixels or resolution, aspect)
    return ReferenceNetwork(
        name=Path(name).stem if Path(name).suffix in (".safetensors", ".pth", ".pt") else name,
        architecture=architecture,
        start=start.for_design(architecture, own=design),
    )


def _with_way_out(problem: str) -> str:
    """What weights do not say cannot be said beside a rival, but written into a file of them."""
    if not any(flag in problem for flag in _UNSAID) and "does not tell" not in problem:
        return problem
    return (
        f"{problem}; a rival's weights must say this themselves: autoscale export NETWORK "
        "--weights FILE takes these options and writes a file that does"
    )
