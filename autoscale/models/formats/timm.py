"""A network in timm's names and blocks."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoscale.errors import InvalidArchitecture
from autoscale.models.formats.check import Check
from autoscale.models.formats.format import File, Format, file_at
from autoscale.models.formats.weights import header_of
from autoscale.models.input_spec import answering_data, timm_config
from autoscale.models.load import Model
from autoscale.network.interchange.python_source import timm_source
from autoscale.network.weights import to_timm
from autoscale.runs.sources.releases import CONFIG
from autoscale.runs.weights import KEY, write_weights

WEIGHTS = "timm.safetensors"
NETWORK = "timm_network.py"


class Timm(Format):
    """Weights by timm's names, and a module that makes timm's network."""

    name = "timm"
    files = (WEIGHTS, NETWORK, CONFIG)

    def impossible(self, model: Model) -> str | None:
        """It is timm's EfficientNet, or none."""
        if model.architecture is None:
            return f"{model.name} is a module of your own, so there is no design to write as timm"
        try:
            timm_source(model.architecture, model.style, weights=WEIGHTS)
        except InvalidArchitecture as problem:
            return str(problem)
        return None

    def write(self, model: Model, folder: Path, check: Check) -> list[File]:
        """timm is not run."""
        assert model.architecture is not None
        config = _pretrained(model, num_classes=check.num_classes)
        source = timm_source(model.architecture, model.style, weights=WEIGHTS, config=config)
        path = folder / WEIGHTS
        write_weights(path, to_timm(model.network.state_dict()), header_of(model))
        return [file_at(path, self.name), self.written(folder / NETWORK, source.encode())]


def hub_config(model: Model, *, num_classes: int) -> str:
    """The text of `config.json` as timm's loader for the Hub reads it.

    Source of the keys: rwightman/pytorch-image-models, timm/models/_hub.py.
    """
    config = _pretrained(model, num_classes=num_classes)
    answering = model.header.answering
    names = {"label_names": config.pop("label_names")} if "label_names" in config else {}
    preparation = model.preparation
    own = asdict(model.style) | {"white_level": preparation.white_level}
    if preparation.area != "centre-square":
        own |= {"area": preparation.area}
    if answering is not None:
        own |= {"answering": answering_data(answering)}
    plain = {
        "architecture": model.name,
        "num_classes": num_classes,
        "global_pool": "avg",
        "pretrained_cfg": config,
        **names,
        KEY: own,
    }
    return json.dumps(plain, indent=2) + "\n"


def _pretrained(model: Model, *, num_classes: int) -> dict[str, Any]:
    return timm_config(
        model.preparation, model.resolution, model.header.classes, num_classes=num_classes
    )
