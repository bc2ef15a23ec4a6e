"""Networks of the Hugging Face hub, as its cache on this machine holds them.

Source of the folders and their variables: huggingface_hub's guide "Understand caching" and its
reference of environment variables. The library itself is needed to fetch, not to read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoscale.datasets.sources.hub import cache_folder as cache_folder
from autoscale.distribution import install
from autoscale.errors import InvalidSetting

#: What a source of the hub begins with.
SCHEME = "hf:"
_SOURCE = re.compile(r"hf:([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?")
_FOLDER = "models--"
#: Files of weights, the first that is there.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
#: Files that say what weights expect and under which terms they are given.
_BESIDE = ("config.json", "preprocessor_config.json", "README.md")
_COMMIT = 40  # hexadecimal digits


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """One revision of a repository, as the cache holds it."""

    repository: str  # OWNER/NAME
    revision: str  # its commit
    folder: Path

    @property
    def source(self) -> str:
        """As `--weights` takes it."""
        return f"{SCHEME}{self.repository}@{self.revision}"

    @property
    def weights(self) -> Path | None:
        """Its file of weights, if it holds one."""
        return next((f for name in WEIGHTS if (f := self.folder / name).is_file()), None)


def snapshots(cache: Path) -> Iterator[Snapshot]:
    """All revisions of all models in a cache, by name and commit."""
    if not cache.is_dir():
        return
    for folder in sorted(cache.glob(f"{_FOLDER}*--*")):
        owner, _, name = folder.name.removeprefix(_FOLDER).partition("--")
        for found in sorted((folder / "snapshots").glob("*")):
            if found.is_dir():
                yield Snapshot(f"{owner}/{name}", found.name, found)


def snapshot_of(path: Path) -> Snapshot | None:
    """The revision that a file lies in, told from its folders; None if it is none of a cache."""
    places = path.absolute().parents
    for folder, above, repository in zip(places, places[1:], places[2:], strict=False):
        if above.name == "snapshots" and repository.name.startswith(_FOLDER):
            owner, _, name = repository.name.removeprefix(_FOLDER).partition("--")
            return Snapshot(f"{owner}/{name}", folder.name, folder)
    return None


def found(source: str) -> Path:
    """The file of weights that `hf:OWNER/NAME[@REVISION]` stands for.

    What the cache holds is taken as it is; only what it lacks is fetched, with what says how to use
    it beside it.

    Raises:
        InvalidSetting: if the text is no such source, or it is neither there nor to be had.
    """
    told = _SOURCE.fullmatch(source)
    if told is None or ".." in source:
        raise InvalidSetting(
            f"{source!r} names nothing of the Hugging Face hub; write hf:OWNER/NAME or "
            "hf:OWNER/NAME@REVISION, such as hf:timm/efficientnet_b0.ra_in1k"
        )
    repository, revision = told[1], told[2] or "main"
    held = _held(repository, revision)
    if held is not None and held.weights is not None:
        return held.weights
    if held is not None and (parts := next(held.folder.glob("*.index.json"), None)):
        raise InvalidSetting(
            f"{source} is stored in parts, which {parts.name} lists; join them where it came from "
            "and name the one file"
        )
    return _fetched(source, repository, revision)


def _held(repository: str, revision: str) -> Snapshot | None:
    """What the cache has of a revision: a branch, a tag or a commit."""
    folder = cache_folder() / (_FOLDER + repository.replace("/", "--"))
    reference = folder / "refs" / revision
    try:
        commit = reference.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        commit = revision
    held = folder / "snapshots" / commit
    whole = len(Path(commit).parts) == 1 and held.is_dir()
    return Snapshot(repository, commit, held) if whole else None


def _fetched(source: str, repository: str, revision: str) -> Path:
    """The file, fetched by huggingface_hub; what says how to use it comes first."""
    cache = cache_folder()
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError:
        raise InvalidSetting(
            f"{source} is not in the cache {cache}, and huggingface_hub, which fetches it, is not "
            f"installed: {install('weights')}"
        ) from None

    def had(name: str) -> Path | None:
        """One of its files; None if it has none of that name."""
        try:
            return Path(hf_hub_download(repository, name, revision=revision, cache_dir=cache))
        except LocalEntryNotFoundError:
            raise InvalidSetting(
                f"{source} is not in the cache {cache}, and the hub cannot be reached; fetch it "
                "where there is a network, or name a file"
            ) from None
        except EntryNotFoundError:
            return None
        except Exception as problem:  # as many kinds as a network can fail in
            raise InvalidSetting(f"{source} could not be fetched: {_line(problem)}") from None

    for name in _BESIDE:
        had(name)
    file = next(filter(None, map(had, WEIGHTS)), None)
    if file is None:
        raise InvalidSetting(
            f"{source} holds neither {' nor '.join(WEIGHTS)}; fetch its file of weights and name "
            "that"
        )
    return file


def _line(problem: Exception) -> str:
    first = next((line for line in str(problem).splitlines() if line.strip()), "")
    return f"{type(problem).__name__}: {first.strip()[:200]}"
