"""Published weights that lie on this machine, and what else could be had."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoscale.distribution import install
from autoscale.errors import AutoscaleError
from autoscale.network.inheritance.origin import published_origin
from autoscale.network.naming import naming_of
from autoscale.runs.sources import hub, packages, torch_hub
from autoscale.runs.sources.find import provenance_of
from autoscale.runs.weights import read_shapes


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldWeights:
    """One file of weights."""

    source: str  # as --weights takes it
    network: str | None  # published, told from names and shapes; None if it is none that is known
    names: str | None  # whose they are, as in "timm's"
    bytes: int
    licence: str | None  # as whoever gives them says; None if nobody does
    place: str  # what keeps it: a package, the Hugging Face cache or torch.hub
    path: Path
    problem: str | None = None  # why it cannot be read

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Weights that are not here."""

    source: str  # as --weights takes it
    command: str | None  # what brings it; None if --weights fetches it itself


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsHere:
    """What is here, and what could be."""

    held: tuple[HeldWeights, ...]
    missing: tuple[Missing, ...]
    looked: tuple[Path, ...]  # the folders that were looked through


def weights_here() -> WeightsHere:
    """Look through installed packages, the cache of the Hugging Face hub and that of torch.hub.

    Packages are not imported, and no numbers are read: a network is told from names and shapes.
    """
    cache, checkpoints = hub.cache_folder(), torch_hub.checkpoint_folder()
    absent = [name for name in packages.PACKAGES if packages.installed(name) is None]
    return WeightsHere(
        held=tuple(_held(cache, checkpoints)),
        missing=(
            *(Missing(source=name, command=install("weights")) for name in absent),
            Missing(source="hf:timm/NAME", command=None),
        ),
        looked=(cache, checkpoints),
    )


def _held(cache: Path, checkpoints: Path) -> Iterator[HeldWeights]:
    for network in packages.PACKAGES:
        if package := packages.installed(network):
            yield _told(package.file, network, f"package {package.name} {package.version}")
    for snapshot in hub.snapshots(cache):
        if snapshot.weights is not None:
            yield _told(snapshot.weights, snapshot.source, "Hugging Face cache")
    for path in torch_hub.checkpoints(checkpoints):
        yield _told(path, str(path), "torch.hub")


def _told(path: Path, source: str, place: str) -> HeldWeights:
    provenance = provenance_of(path)
    network = names = problem = None
    size = 0
    try:
        size = path.stat().st_size
        state = read_shapes(path)
        naming = naming_of(state)
        network, names = published_origin(state), naming.owner if naming else None
    except (AutoscaleError, OSError) as found:
        problem = str(found)
    return HeldWeights(
        source=source,
        network=network,
        names=names,
        bytes=size,
        licence=provenance.licence if provenance else None,
        place=place,
        path=path,
        problem=problem,
    )
