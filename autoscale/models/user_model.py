"""A function of the user's that makes networks: `build(depth, width, resolution)`, scaled by trace.

`depth` and `width` are multipliers, 1.0 for the base; `resolution` is in whole pixels per side. A
function that takes `num_classes` is told of it.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import nn

from autoscale.design.amounts import several
from autoscale.design.cost import Cost
from autoscale.design.numbers import Number, nearest
from autoscale.errors import InvalidSetting, cause
from autoscale.models.user_code import named
from autoscale.network.image import blank, channels_of, image_shape
from autoscale.network.measuring.trace import traced_cost
from autoscale.scaling.scalable import UserNetwork
from autoscale.training.failures import out_of_memory


@dataclass(frozen=True, eq=False)
class UserModel:
    """The networks that one function makes; what was traced once is remembered."""

    name: str  # package.module:build
    resolution: int  # pixels per side of the base
    num_classes: int
    _networks: dict[tuple[float, float, int], UserNetwork] = field(default_factory=dict, repr=False)
    _costs: dict[tuple[int, tuple[tuple[int, ...], ...]], Cost] = field(
        default_factory=dict, repr=False
    )

    def pixels(self, factor: Number) -> Number:
        """Whole pixels per side of an input `factor` times larger."""
        return np.maximum(1, nearest(np.asarray(self.resolution * factor)))

    def costs(self, depth: np.ndarray, width: np.ndarray, resolution: np.ndarray) -> Cost:
        """Costs at these multipliers and resolutions, each by a trace."""
        found = [
            self.at(float(d), float(w), int(r)).cost
            for d, w, r in np.nditer([depth, width, resolution])
        ]
        shape = np.broadcast_shapes(depth.shape, width.shape, resolution.shape)
        columns = {
            column.name: np.array([getattr(cost, column.name) for cost in found], dtype=np.int64)
            for column in fields(Cost)
        }
        return Cost(**{name: values.reshape(shape) for name, values in columns.items()})

    def at(self, depth: float, width: float, resolution: int) -> UserNetwork:
        """The network at these multipliers.

        Raises:
            InvalidSetting: if the function fails, or its network does not take such images or runs
                operations of unknown cost.
        """
        asked = (depth, width, resolution)
        if asked not in self._networks:
            try:
                with torch.device("meta"):  # takes neither memory nor time
                    found = self._traced(*asked)
            except InvalidSetting:
                found = self._traced(*asked)  # not every network can be made without its numbers
            self._networks[asked] = found
        return self._networks[asked]

    def _traced(self, depth: float, width: float, resolution: int) -> UserNetwork:
        module = _call(self.name, depth, width, resolution, self.num_classes)
        shapes = tuple(tuple(parameter.shape) for parameter in module.parameters())
        key = (resolution, shapes)
        if key not in self._costs:
            try:
                self._costs[key] = traced_cost(module, resolution=resolution)
            except InvalidSetting:
                raise
            except (Exception, SystemExit) as problem:  # the user's code may raise anything
                raise InvalidSetting(
                    f"the network of {self.name} does not take an image of shape "
                    f"{image_shape(module, resolution)}: {cause(problem)}; correct it"
                ) from problem
        return UserNetwork(
            model=self.name,
            depth=depth,
            width=width,
            resolution=resolution,
            num_classes=self.num_classes,
            channels=channels_of(module),
            shapes=shapes,
            cost=self._costs[key],
        )


def make(network: UserNetwork) -> nn.Module:
    """The network with numbers in it, from torch's global generator.

    Raises:
        InvalidSetting: if the function fails or its answer does not fit the images' classes.
    """
    module = _call(
        network.model, network.depth, network.width, network.resolution, network.num_classes
    )
    module.eval()
    try:
        with torch.no_grad():
            answer = module(blank(module, network.resolution))
    except (Exception, SystemExit) as problem:
        if isinstance(problem, Exception) and out_of_memory(problem):
            raise  # costs this training alone
        raise InvalidSetting(
            f"the network of {network.model} fails on an image of "
            f"{several(network.resolution, 'pixel')} per side: "
            f"{cause(problem)}; correct it"
        ) from problem
    shape = tuple(getattr(answer, "shape", ()))
    if shape != (1, network.num_classes):
        raise InvalidSetting(
            f"{network.model} answers with shape {shape}, the images have {network.num_classes} "
            f"classes: it must give (N, {network.num_classes}); let build take num_classes"
        )
    return module


def _call(name: str, depth: float, width: float, resolution: int, num_classes: int) -> nn.Module:
    function = named(name)
    arguments = {"depth": depth, "width": width, "resolution": resolution}
    if _takes_classes(function):
        arguments["num_classes"] = num_classes
    try:
        inspect.signature(function).bind(**arguments)
    except (TypeError, ValueError) as problem:
        raise InvalidSetting(
            f"cannot call {name} with {', '.join(arguments)}: {problem}; write build(depth, "
            "width, resolution) or build(depth, width, resolution, num_classes)"
        ) from problem
    try:
        module = function(**arguments)
    except (Exception, SystemExit) as problem:
        asked = ", ".join(f"{key}={value:g}" for key, value in arguments.items())
        raise InvalidSetting(f"{name}({asked}) failed: {cause(problem)}; correct it") from problem
    if not isinstance(module, nn.Module):
        raise InvalidSetting(f"{name} gives a {type(module).__name__}; it must give an nn.Module")
    return module


def _takes_classes(function: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return "num_classes" in parameters
