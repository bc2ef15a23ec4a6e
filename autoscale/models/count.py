"""What one network costs: a published one, a design in a file, or a module of the user's."""

from __future__ import annotations

import difflib
import inspect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale.aspect import SQUARE, Aspect, ImageSize, aspect_of, image_size
from autoscale.design.amounts import BYTES
from autoscale.design.architecture import Architecture
from autoscale.design.cost import CONVENTIONS, Cost, part_costs
from autoscale.design.document import kind_of
from autoscale.design.published import FAMILIES, NETWORKS
from autoscale.errors import InvalidSetting, cause
from autoscale.models.op_costs import watched
from autoscale.models.user_code import code_problem, named
from autoscale.runs.store import read_text

# A design is counted without torch, which is loaded where there is a module, and a count is no
# table: pandas is loaded where one is made.
if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from autoscale.devices.board import Board, Fit
    from autoscale.network.measuring.second_count import CountLine, FvcoreCount
    from autoscale.network.measuring.trace import Handle


@dataclass(frozen=True)
class Count:
    """The costs of a network's parts for one image.

    Flops as fvcore counts them follow from a design in closed form; of a module that was traced
    they are what fvcore itself says, since it counts some operations and leaves out others.
    """

    network: str
    resolution: int  # pixels of the height of the image
    traced: bool  # watched while running, rather than computed from a design
    parts: tuple[tuple[str, Cost], ...]
    module: nn.Module | None = field(default=None, repr=False, compare=False)  # if traced
    design: Architecture | None = field(default=None, repr=False, compare=False)  # if not
    #: Multiply-adds of operations whose cost the caller gave.
    priced: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    aspect: Aspect = SQUARE  # of the image: width / height

    @property
    def image_size(self) -> ImageSize:
        """Height and width of the image, pixels."""
        return image_size(self.resolution, self.aspect)

    @property
    def cost(self) -> Cost:
        """Of the whole network."""
        return reduce(add, (part for _, part in self.parts), Cost())

    @cached_property
    def fvcore(self) -> FvcoreCount | None:
        """What fvcore says of a traced module; None of a design.

        Raises:
            InvalidSetting: if fvcore cannot trace it.
        """
        if self.module is None:
            return None
        from autoscale.network.measuring.second_count import fvcore_analysis

        try:
            return fvcore_analysis(self.module, resolution=self.resolution, aspect=self.aspect)
        except Exception as problem:  # the user's code may raise anything
            raise InvalidSetting(
                f"fvcore cannot count {self.network}: {cause(problem)}; choose the convention "
                f"{', '.join(name for name in CONVENTIONS if name != 'fvcore')}"
            ) from problem

    @cached_property
    def check(self) -> list[CountLine]:
        """This count beside fvcore's, a line for each kind of operation; a design is built for it.

        Both counts are the sums of their lines.

        Raises:
            InvalidSetting: if fvcore cannot trace the network.
        """
        import torch

        from autoscale.network.build import build
        from autoscale.network.measuring.second_count import compare_counts

        module = self.module
        if module is None:
            assert self.design is not None
            with torch.random.fork_rng(devices=[]):  # its weights do not matter
                module = build(self.design)
        try:
            return compare_counts(
                self.cost,
                module,
                resolution=self.resolution,
                aspect=self.aspect,
                priced=self.priced,
            )
        except Exception as problem:  # the user's code may raise anything
            raise InvalidSetting(
                f"fvcore cannot count {self.network}: {cause(problem)}; leave --check out"
            ) from problem

    def fit(self, board: Board) -> tuple[Fit, ...]:
        """What a design needs of a board's flash and RAM, beside what the board leaves it.

        Raises:
            InvalidSetting: of a module, whose layers are not known as those of a file.
        """
        if self.design is None:
            raise InvalidSetting(
                f"{self.network} is a module, and flash and RAM follow from the layers of a "
                "design; leave --board out, or name a design"
            )
        return board.fit(self.design)

    def check_table(self) -> pd.DataFrame:
        """The lines of `check` and a last one for the totals.

        Columns: counted (the kind of operation), fvcore_says, and what each convention says.

        Raises:
            InvalidSetting: if fvcore cannot trace the network.
        """
        import pandas as pd

        rows = [{"counted": x.what, "fvcore_says": x.fvcore, **x.ours} for x in self.check]
        table = pd.DataFrame(rows, columns=["counted", "fvcore_says", *CONVENTIONS])
        table.loc[len(table)] = ["total", *table.sum()[1:]]
        return table

    def row(self, convention: str = "paper") -> dict[str, Any]:
        """The whole network in one row; `figures` names its columns.

        Raises:
            InvalidSetting: if there is no such convention, or fvcore cannot trace the module.
        """
        row = {"network": self.network, **figures(self.cost, convention)}
        if convention == "fvcore" and self.fvcore:
            row["flops"] = self.fvcore.total
        return row

    def table(self, convention: str = "paper") -> pd.DataFrame:
        """One row for each part and a last one for the total.

        Columns: part, and those of `figures`.

        Raises:
            InvalidSetting: if there is no such convention, or fvcore cannot trace the module.
        """
        import pandas as pd

        return pd.DataFrame(self.rows(convention))

    def rows(self, convention: str = "paper") -> list[dict[str, Any]]:
        """The rows of `table` as plain data.

        Raises:
            InvalidSetting: if there is no such convention, or fvcore cannot trace the module.
        """
        parts, flops = dict(self.parts), {}
        if convention == "fvcore" and self.fvcore:
            own = type(self.module).__name__
            flops = {name or own: number for name, number in self.fvcore.parts.items()}
            # It may count what costs nothing here.
            parts |= {name: Cost() for name in flops if flops[name] and name not in parts}
            flops["total"] = self.fvcore.total
        costs = [*parts.items(), ("total", self.cost)]
        rows: list[dict[str, Any]] = [
            {"part": name, **figures(part, convention)} for name, part in costs
        ]
        return [{**row, "flops": flops.get(row["part"], 0)} for row in rows] if flops else rows


def figures(cost: Cost, convention: str = "paper") -> dict[str, int]:
    """`flops` under the convention, macs, params, activations, and memory in bytes.

    Memory is that of the most numbers alive at once in float32, as `Cost.peak` defines it.

    Raises:
        InvalidSetting: if there is no such convention.
    """
    if convention not in CONVENTIONS:
        raise InvalidSetting(
            f"no counting convention {convention!r}; choose from {', '.join(CONVENTIONS)}"
        )
    return {
        "flops": int(CONVENTIONS[convention](cost)),
        "macs": int(cost.macs),
        "params": int(cost.params),
        "activations": int(cost.activations),
        "memory": int(cost.peak) * BYTES,
    }


def count(
    network: str | Path | nn.Module | Architecture,
    *,
    resolution: int | None = None,
    aspect: Aspect | str | None = None,
    handles: Mapping[str, Handle] | None = None,
) -> Count:
    """What `network` costs for one image.

    Args:
        network: the name of a published one (`efficientnet-b4`), a YAML file of a design or of a
            family's member, or `package.module:name` of an `nn.Module` or of a function without
            arguments that makes one or an `Architecture`. The module is imported, from the working
            directory too. Or such a module or design itself.
        resolution: pixels of the image's height; a design's own, or 224 for a module, if not
            given.
        aspect: its width divided by its height, as "4/3"; a design's own, or that of a square, if
            not given.
        handles: multiply-adds of operations that the trace of a module does not know: by the name
            of the operation, such as "aten::cumsum", a function of the shapes of its inputs and of
            its outputs.

    Returns:
        The costs of its parts; `cost` is their sum, `row` and `table` have them by a convention.

    Raises:
        InvalidSetting: if there is no such network, or it does not take such images, or `handles`
            has an operation that it does not run.
        InvalidArchitecture: if the file is no design; the message names line and key.
        StorageProblem: if the file cannot be read.
    """
    found, name = load_network(network), _called(network)
    aspect = None if aspect is None else aspect_of(aspect)
    if isinstance(found, Architecture):
        if handles:
            raise InvalidSetting(
                f"{name} is counted in closed form and runs no {', '.join(handles)}; "
                "leave --op-cost out"
            )
        if resolution is not None:
            found = replace(found, resolution=resolution)
        if aspect is not None:
            found = replace(found, aspect=aspect)
        parts = tuple(part_costs(found))
        return Count(name, found.resolution, False, parts, design=found, aspect=found.aspect)
    return count_module(
        found, name, resolution=resolution or 224, aspect=aspect or SQUARE, handles=handles
    )


def count_module(
    module: nn.Module,
    name: str,
    *,
    resolution: int,
    aspect: Aspect = SQUARE,
    handles: Mapping[str, Handle] | None = None,
) -> Count:
    """What `module` costs, watched while one image passes.

    Raises:
        InvalidSetting: if it does not take such images, or runs operations of unknown cost, or does
            not run one of `handles`.
    """
    from autoscale.network.image import image_shape
    from autoscale.network.measuring.trace import traced_part_costs

    ran: Counter[str] = Counter()
    priced = {
        operation: watched(operation, handle, ran) for operation, handle in (handles or {}).items()
    }
    try:
        parts = traced_part_costs(module, resolution=resolution, aspect=aspect, handles=priced)
    except InvalidSetting:
        raise
    except Exception as problem:  # the user's code may raise anything
        raise InvalidSetting(
            f"{name} does not take an image of shape {image_shape(module, resolution, aspect)}: "
            f"{cause(problem)}; correct it or try another --resolution"
        ) from problem
    if idle := [operation for operation in priced if operation not in ran]:
        raise InvalidSetting(
            f"{name} does not run {', '.join(idle)}; correct --op-cost or leave it out"
        )
    return Count(name, resolution, True, tuple(parts), module, priced=ran, aspect=aspect)


def load_network(network: str | Path | nn.Module | Architecture) -> nn.Module | Architecture:
    """The network itself, or what its name names in one of the ways that `count` takes.

    Raises:
        InvalidSetting: if there is no such network.
        InvalidArchitecture: if the file is no design; the message names line and key.
        StorageProblem: if the file cannot be read.
    """
    if isinstance(network, Architecture):
        return network
    if not isinstance(network, str | Path):
        from torch import nn

        if isinstance(network, nn.Module):
            return network
    name = str(network)
    if ":" in name and not Path(name).exists():
        return _imported(name)
    return load_architecture(name)


def _called(network: str | Path | nn.Module | Architecture) -> str:
    if isinstance(network, Architecture):
        return "design"
    return str(network) if isinstance(network, str | Path) else type(network).__name__


def is_member(path: Path) -> bool:
    """Whether a YAML file is a family's member, rather than a design.

    Raises:
        StorageProblem: if it cannot be read.
    """
    return kind_of(read_text(path)) in ("member", "user-model-member")


def load_architecture(name: str) -> Architecture:
    """The design in the YAML file `name`, also a family member's, or the published one.

    Raises:
        InvalidSetting: if there is neither.
        InvalidArchitecture: if the file is no design; the message names line and key.
        StorageProblem: if the file cannot be read.
    """
    path = Path(name)
    if path.suffix == ".py":
        raise InvalidSetting(code_problem(name))
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.exists():
            raise InvalidSetting(f"no such file: {name}; name a design's YAML file")
        text = read_text(path)
        if kind_of(text) == "member":
            from autoscale.scaling.family import Member

            return Member.from_yaml(text, source=name).architecture
        return Architecture.from_yaml(text, source=name)
    if name not in NETWORKS:
        raise InvalidSetting(_unknown(name))
    return NETWORKS[name]


def _unknown(name: str) -> str:
    if name in FAMILIES:
        members = list(FAMILIES[name])
        return (
            f"{name} is a family of {len(members)} networks; count one, such as {members[0]}, or "
            f"list them with: autoscale compare {name}"
        )
    near = difflib.get_close_matches(name, dict.fromkeys([*NETWORKS, *FAMILIES]))
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    return (
        f"no published network {name!r}; {guess}list a family with: autoscale compare FAMILY "
        f"({', '.join(FAMILIES)})"
    )


def _imported(name: str) -> nn.Module | Architecture:
    from torch import nn

    found = named(name)
    if callable(found) and not isinstance(found, nn.Module):
        try:
            inspect.signature(found).bind()
        except TypeError as problem:
            raise InvalidSetting(
                f"cannot call {name} without arguments: {problem}; name a function that needs none"
            ) from problem
        except ValueError:  # not every callable tells what it takes
            pass
        try:
            found = found()
        except (Exception, SystemExit) as problem:
            raise InvalidSetting(f"{name} failed: {cause(problem)}; correct it") from problem
    if not isinstance(found, nn.Module | Architecture):
        raise InvalidSetting(f"{name} gives a {type(found).__name__}; it must give an nn.Module")
    return found
