"""One set of weights for all designs of a space, and networks that are slices of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace

import torch
from torch import Tensor, nn

from autoscale.design.architecture import Architecture
from autoscale.design.space import SearchSpace
from autoscale.design.style import Style
from autoscale.network.build import Network, head_module, initialise, stem_module
from autoscale.network.modules_of import block_call
from autoscale.network.shared.sharing import SharedBlock, Sharing

#: Modules that are kept for the next design that has them.
_KEPT = 1024
#: Between the parts of a shared weight's name; those of a network's have dots.
_SLASH = "/"


class SharedWeights(nn.Module):
    """The weights that all designs of a space share: `sharing` says which slice of which.

    A weight is called by its place, the key of the part and its name in it, as
    ``stages/1/0/mbconv/expand/0/weight``. Fresh ones are as `build` makes them, from torch's global
    generator; but a last norm begins at zero only where every design adds the block's input to it.

    Shape: (N, C, H, W) -> (N, classes), by the first design of the space, whose norms go by the
    images that they are given: what is used are slices, see `Slices`.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        sharing, first = Sharing(space), space.architecture_at((0,) * len(space.parameters))
        for stem in sharing.stems:
            made = stem_module(replace(first, stem=stem))
            self._take(f"stem/{sharing.stem_key(stem)}", made)
        for block in sharing.blocks:
            self._take(_place_of(block), block_call(block.layout, block.width_in).make())
        for head, width in sharing.heads:
            last = replace(first.stages[-1], width=width)
            made = head_module(replace(first, stages=(*first.stages[:-1], last), head=head))
            self._take(f"head/{sharing.head_key(head, width)}", made)

    def _take(self, place: str, module: nn.Module) -> None:
        """Hold the weights of a part too."""
        initialise(module)
        for name, fresh in module.named_parameters():
            self._hold(place + _SLASH + _inside(name), fresh.detach())

    def _hold(self, name: str, fresh: Tensor) -> None:
        held = self._parameters.get(name)
        if held is None:
            self.register_parameter(name, nn.Parameter(fresh.clone()))
            return
        most = [max(sizes) for sizes in zip(held.shape, fresh.shape, strict=True)]
        whole = torch.zeros(most)
        slice_of(whole, held).copy_(held.detach())
        part = slice_of(whole, fresh)
        # Numbers of a norm: 1 where one of the parts that share them begins at 1.
        part.copy_(torch.maximum(part, fresh) if fresh.ndim == 1 else fresh)
        self.register_parameter(name, nn.Parameter(whole))

    def forward(self, x: Tensor) -> Tensor:
        design = self.space.architecture_at((0,) * len(self.space.parameters))
        slices = Slices(self.space)
        network, names = slices.network(design).train(len(x) > 1), slices.names(design)
        with torch.no_grad():
            for name, own in network.named_parameters():
                own.copy_(slice_of(self.get_parameter(names[name]), own))
        out: Tensor = network(x)
        return out


class Slices:
    """Networks of a space that take their weights from shared ones.

    Modules are kept, so two networks of one `Slices` may have some in common: use one at a time.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._sharing = Sharing(space)
        self._made: OrderedDict[Hashable, nn.Module] = OrderedDict()

    def network(self, design: Architecture) -> Network:
        """As `build` makes it, with weights that are yet to be taken."""
        stages = nn.Sequential(*[nn.Sequential() for _ in design.stages])
        for block in self._sharing.blocks_of(design):
            row = stages[block.stage]
            assert isinstance(row, nn.Sequential)
            row.append(self._part(block, block_call(block.layout, block.width_in).make))
        stem = replace(design, stages=design.stages[:1])
        head = (design.head, design.stages[-1].width, design.num_classes)
        return Network(
            self._part((design.stem, design.channels), lambda: stem_module(stem)),
            stages,
            self._part(head, lambda: head_module(design)),  # type: ignore[arg-type]
        )

    def names(self, design: Architecture) -> dict[str, str]:
        """For each parameter of the design's network the shared weight that it is a slice of."""
        sharing = self._sharing
        places = {"stem": f"stem/{sharing.stem_key(design.stem)}"}
        for block in sharing.blocks_of(design):
            places[f"stages.{block.stage}.{block.number}"] = _place_of(block)
        places["head"] = f"head/{sharing.head_key(design.head, design.stages[-1].width)}"
        found = {}
        for name, _ in self.network(design).named_parameters():
            depth = 3 if name.startswith("stages.") else 1
            parts = name.split(".")
            place, rest = ".".join(parts[:depth]), ".".join(parts[depth:])
            found[name] = places[place] + _SLASH + _inside(rest)
        return found

    def _part(self, key: Hashable, make: Callable[[], nn.Module]) -> nn.Module:
        found = self._made.get(key)
        if found is None:
            with torch.random.fork_rng(devices=[]):
                found = make()
            for module in found.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eps = Style().norm_eps
            self._made[key] = found
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return found


def slice_of(weight: Tensor, like: Tensor) -> Tensor:
    """As much of a weight as another one has: the first entries along each axis, of a kernel those
    around its centre."""
    shape, offsets = like.shape, [0] * weight.ndim
    if weight.ndim == 4:
        offsets[2:] = [(n - m) // 2 for n, m in zip(weight.shape[2:], shape[2:], strict=True)]
    ranges = zip(offsets, shape, strict=True)
    return weight[tuple(slice(offset, offset + size) for offset, size in ranges)]


def _place_of(block: SharedBlock) -> str:
    return f"stages/{block.stage}/{block.number}/{block.key}"


def _inside(name: str) -> str:
    """A weight's name in its block, which does not tell whether the block adds its input."""
    return f".{name}".replace(".branch.", ".").removeprefix(".").replace(".", _SLASH)
