"""What `--weights` names: a file, a network whose weights a package brings, or one of the hub."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoscale.distribution import install
from autoscale.errors import InvalidSetting
from autoscale.runs.sources import hub
from autoscale.runs.sources.licences import licence_beside
from autoscale.runs.sources.packages import PACKAGES, installed, package_of
from autoscale.runs.sources.torch_hub import checkpoint_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a file of published weights comes from."""

    origin: str  # in words
    licence: str | None  # as whoever gives it says; None if nobody does


def find(source: str) -> Path:
    """The file that a source stands for.

    Args:
        source: a file; a published network, if an installed package brings its weights; or
            `hf:OWNER/NAME`, with `@REVISION` if it is to be another than the hub's main one.

    Raises:
        InvalidSetting: if there is none; the message says what to do.
    """
    if source.startswith(hub.SCHEME):
        return hub.found(source)
    path = Path(source)
    if path.exists():
        return path
    if package := installed(source):
        return package.file
    if source in PACKAGES:
        raise InvalidSetting(
            f"the weights of {source} are not installed: {install('weights')}, or name a file"
        )
    raise InvalidSetting(
        f"no such file of weights: {source}; name a .safetensors or .pth file, one of "
        f"{', '.join(PACKAGES)}, or hf:OWNER/NAME (autoscale weights lists what is here)"
    )


def keep_names(source: str, change: Callable[[str], str]) -> str:
    """A source with its path changed, if it is one: names of packages and of the hub stay."""
    named = source.startswith(hub.SCHEME) or source in PACKAGES
    return source if named else change(source)


def provenance_of(path: Path) -> Provenance | None:
    """Where a file comes from, told from where it lies; None if that says nothing."""
    if held := hub.snapshot_of(path):
        return Provenance(origin=held.source, licence=licence_beside(path))
    if package := package_of(path):
        return Provenance(
            origin=f"{path.name} of the package {package.name} {package.version}",
            licence=package.licence,
        )
    if path.absolute().parent == checkpoint_folder().absolute():
        return Provenance(origin=f"{path.name} of torch.hub", licence=licence_beside(path))
    return None
