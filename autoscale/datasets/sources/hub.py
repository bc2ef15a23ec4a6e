"""Data sets of the Hugging Face hub, `hf:OWNER/NAME[@REVISION]`: its files as the cache holds them.

The files themselves are read, as they are read in a folder: no program of a repository is run.
Source of the cache's folders: huggingface_hub's guide "Understand caching".
"""

from __future__ import annotations

import functools
import os
import re
from collections import defaultdict
from pathlib import Path

from autoscale.distribution import install
from autoscale.errors import DataProblem, InvalidSetting, first_line

#: What a source of the hub begins with.
SCHEME = "hf:"
_SOURCE = re.compile(r"hf:([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?")
_FOLDER = "datasets--"
_SHARD = re.compile(r"(.*?)-?(\d{4,6})-of-(\d{4,6})(.*)")
#: What of a repository may hold pictures, labels or names of classes.
_WANTED = ("*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.json", "*.txt", "*.tar", "*.npz", "*.arrow",
           "*.jpg", "*.jpeg", "*.png", "*.webp", "*.bmp", "*.gif", "*.tif", "*.tiff", "*.ppm",
           "*.JPG", "*.JPEG", "*.PNG")  # fmt: skip


def cache_folder() -> Path:
    """Where huggingface_hub keeps what it fetches; it need not be there."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := os.environ.get(variable, "").strip():
            return Path(named).expanduser()
    if home := os.environ.get("HF_HOME", "").strip():
        return Path(home).expanduser() / "hub"
    users = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(users).expanduser() / "huggingface" / "hub"


def on_hub(source: str) -> tuple[Path, tuple[str, ...]]:
    """The folder that a source of the hub stands for, and what to say of it.

    With huggingface_hub what is lacking is fetched, once a process. Without it, or without a
    network, what the cache holds is taken, and that is said.

    Raises:
        InvalidSetting: if the text is no such source.
        DataProblem: if it is neither there nor to be had, or only a part of it is there.
    """
    told = _SOURCE.fullmatch(source)
    if told is None or ".." in source:
        raise InvalidSetting(
            f"{source!r} names no data set of the Hugging Face hub; write hf:OWNER/NAME or "
            "hf:OWNER/NAME@REVISION, such as hf:ylecun/mnist"
        )
    folder, notices = _found(source, told[1], told[2] or "main", cache_folder())
    _require_all_shards(folder, source)
    return folder, notices


@functools.cache
def _found(
    source: str, repository: str, revision: str, cache: Path
) -> tuple[Path, tuple[str, ...]]:
    held = _held(repository, revision, cache)
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        if held is None:
            raise DataProblem(
                f"{source} is not in the cache {cache}, and huggingface_hub, which fetches it, is "
                f"not installed: {install('weights')}"
            ) from None
        return held, (_as_it_is(source, held, "huggingface_hub is not installed"),)
    try:
        fetched = snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision,
            cache_dir=cache,
            allow_patterns=list(_WANTED),
        )
    except Exception as problem:  # as many kinds as a network can fail in
        if held is not None and _is_of_network(problem):
            return held, (_as_it_is(source, held, "the hub cannot be reached"),)
        kind = type(problem).__name__
        raise DataProblem(
            f"{source} could not be fetched ({kind}: {first_line(problem)}); see that it is called "
            f"so and open to you, or where there is no network, copy it into the cache {cache}"
        ) from None
    return Path(fetched), ()


def _is_of_network(problem: Exception) -> bool:
    """Whether it is one of a missing network, and not an answer of the hub."""
    kinds = {kind.__name__ for kind in type(problem).__mro__}
    return bool(
        kinds
        & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError",
           "Timeout", "TimeoutException"}
    )  # fmt: skip


def _as_it_is(source: str, held: Path, reason: str) -> str:
    return (
        f"{source} is read as the cache holds it (revision {held.name[:12]}), since {reason}: "
        "whether all of it is there is not known"
    )


def _held(repository: str, revision: str, cache: Path) -> Path | None:
    """What the cache has of a revision: a branch, a tag or a commit."""
    folder = cache / (_FOLDER + repository.replace("/", "--"))
    try:
        commit = (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        commit = revision
    held = folder / "snapshots" / commit
    return held if len(Path(commit).parts) == 1 and held.is_dir() else None


def _require_all_shards(folder: Path, source: str) -> None:
    """
    Raises:
        DataProblem: if of files that count themselves, as train-00000-of-00005, some are missing.
    """
    counted: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for path in sorted(folder.rglob("*-of-*")):
        if told := _SHARD.fullmatch(path.name):
            counted[f"{path.parent}/{told[1]}", told[4], int(told[3])].add(int(told[2]))
    for (name, _, of), numbers in counted.items():
        if len(numbers) < of:
            raise DataProblem(
                f"the cache holds {len(numbers)} of the {of} files {Path(name).name}-..., of "
                f"{source}; fetch the rest where there is a network (huggingface-cli download "
                "--repo-type dataset)"
            )
