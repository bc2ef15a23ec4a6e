"""What a source of images is, asked once, and the reader of its kind."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from autoscale.datasets.folders import list_folders
from autoscale.datasets.pictures.group_by import GroupBy
from autoscale.datasets.pictures.pictures import Listing, Pictures, shown
from autoscale.datasets.sources.arrays.cifar import find_cifar, list_cifar
from autoscale.datasets.sources.arrays.idx import find_idx, list_idx
from autoscale.datasets.sources.arrays.npz import is_arrays, list_arrays
from autoscale.datasets.sources.columns import Columns, columns_of
from autoscale.datasets.sources.hub import SCHEME, on_hub
from autoscale.datasets.sources.lists import is_list, list_list
from autoscale.datasets.sources.parquet import list_parquet
from autoscale.datasets.sources.saved import find_saved, list_saved
from autoscale.datasets.sources.shards import Shards, find_shards
from autoscale.datasets.sources.tars import is_tar, list_tars
from autoscale.datasets.splits import Split
from autoscale.datasets.tree import Folder, holds_arrays, is_parquet, scan
from autoscale.errors import DataProblem, InvalidSetting, NothingThere


@dataclass(frozen=True, slots=True)
class _Asked:
    """What of a source is wanted."""

    columns: Columns
    test: bool  # whether files of a test split are read
    arrays: bool  # whether .npy files are pictures, whatever else lies there

    def files(self, shards: Shards) -> dict[Split, list[Path]]:
        """The files that are read, by split."""
        left = {part: own for part, own in shards.files.items() if self.test or part != "test"}
        return left or shards.files


class _FileReader(NamedTuple):
    """Reads one file that is a whole source."""

    takes: Callable[[str], bool]  # by its name
    read: Callable[[Path, _Asked], Listing]
    columns: bool = True  # whether it has columns to name
    several: bool = False  # whether images may have several labels


class _FolderReader(NamedTuple):
    """Reads what lies in a folder; None if that is of another kind."""

    read: Callable[[Folder, _Asked], Listing | None]
    columns: bool = False
    several: bool = False


def _parquet_folder(tree: Folder, asked: _Asked) -> Listing | None:
    if (shards := find_shards(tree)) is None:
        return None
    return list_parquet(
        asked.files(shards),
        splits=shards.named,
        columns=asked.columns,
        unused=shards.unused,
    )


def _saved_folder(tree: Folder, asked: _Asked) -> Listing | None:
    if (found := find_saved(tree)) is None:
        return None
    return list_saved(found, columns=asked.columns, test=asked.test)


def _cifar_folder(tree: Folder, asked: _Asked) -> Listing | None:
    found = find_cifar(tree)
    return None if found is None else list_cifar(found, columns=asked.columns)


def _idx_folder(tree: Folder, asked: _Asked) -> Listing | None:
    found = find_idx(tree)
    return None if found is None else list_idx(found, test=asked.test)


def _tar_folder(tree: Folder, asked: _Asked) -> Listing | None:
    # Beside pictures a tar is what they were unpacked from.
    if tree.count or (shards := find_shards(tree, is_tar, "tar files")) is None:
        return None
    return list_tars(
        asked.files(shards),
        tree.path,
        splits=shards.named,
        columns=asked.columns,
        unused=shards.unused,
    )


def _array_folder(tree: Folder, asked: _Asked) -> Listing | None:
    others = [folder.path / name for folder in tree.walk() for name in folder.others]
    found = [path for path in others if is_arrays(path.name)]
    if tree.count or not found or len(found) < len(others):
        return None
    if len(found) > 1:
        names = ", ".join(shown(path.relative_to(tree.path)) for path in found[:3])
        raise DataProblem(
            f"{shown(tree.path)} holds {len(found)} .npz files ({names}); name the one to use"
        )
    return list_arrays(found[0])


def _classes_folder(tree: Folder, asked: _Asked) -> Listing:
    return list_folders(scan(tree.path, arrays=True) if holds_arrays(tree) else tree)


_FILES: tuple[_FileReader, ...] = (
    _FileReader(
        is_parquet,
        lambda path, asked: list_parquet({"train": [path]}, splits=False, columns=asked.columns),
        several=True,
    ),
    _FileReader(is_list, lambda path, asked: list_list(path, columns=asked.columns), several=True),
    _FileReader(
        is_tar,
        lambda path, asked: list_tars(
            {"train": [path]}, path.parent, splits=False, columns=asked.columns
        ),
    ),
    _FileReader(is_arrays, lambda path, asked: list_arrays(path), columns=False),
)
#: In the order in which they are asked; folders of classes are what is left.
_FOLDERS: tuple[_FolderReader, ...] = (
    _FolderReader(_saved_folder, columns=True, several=True),
    _FolderReader(_parquet_folder, columns=True, several=True),
    _FolderReader(_cifar_folder, columns=True),
    _FolderReader(_idx_folder),
    _FolderReader(_tar_folder, columns=True),
    _FolderReader(_array_folder),
    _FolderReader(_classes_folder),
)


def list_source(
    root: Path,
    *,
    test: bool = True,
    whole: bool = False,
    group_by: str | None = None,
    arrays: bool = False,
) -> Listing:
    """The pictures of a source; none is decoded.

    `root` is one of

    - a folder with a sub-folder for each class;
    - a folder of splits, each with a sub-folder for each class: `train`, and perhaps `validation`
      (or `val`, `valid`, `dev`) and `test` (or `holdout`), in any case and with what is usual
      beside them (`Training`, `images_train`, `TrainSet`, `train2017`, `seg_train/seg_train`);
      `eval` is validation where nothing else is, else test. The splits may lie in a lone folder,
      in the folders of the classes, or among them;
    - a list: .csv, .tsv or .jsonl with a path and a label in each row, perhaps with a split;
    - a Parquet file in the Hugging Face image layout. Columns with unusual names are named behind
      the path, as `images.parquet?image=photo&label=kind`, of lists too;
    - a folder with such files: `train*.parquet`, and perhaps `validation*` and `test*`, there, in
      its `data/`, or in folders that are called like splits;
    - a tar file, or a folder of them, split as Parquet files are: WebDataset shards, or folders of
      classes within;
    - a folder that save_to_disk of Hugging Face's datasets wrote, or `hf:OWNER/NAME[@REVISION]`;
    - a .npz file of arrays (`train_images`, `train_labels`), or a folder with the files of CIFAR-10
      or CIFAR-100 (binary or Python version) or of MNIST (idx).

    What lies beside these changes nothing; `unused` and `skipped` of the listing name it.

    Args:
        test: False leaves the files of a Parquet test split unread.
        whole: take a source that names one split and none for training for that split.
        group_by: gives `Pictures.groups`, see `group_by.GroupBy`.
        arrays: take .npy files of a folder for pictures, whatever else lies there; else they are
            taken where no picture is.

    Raises:
        DataProblem: if `root` is no data set, or has no such groups.
        InvalidSetting: for columns that nothing like them has, or no grouping.
    """
    root, columns = columns_of(root)
    groups = None if group_by is None else GroupBy(group_by)
    if groups is not None:
        columns = replace(columns, group=groups.column)
    notices: tuple[str, ...] = ()
    place = root
    if str(root).startswith(SCHEME):
        place, notices = on_hub(str(root))
    listing = _listed(place, _Asked(columns, test or whole, arrays))
    if listing.untrained and (not whole or len(listing.untrained) > 1):
        named = " and ".join(listing.untrained)
        raise DataProblem(
            f"{shown(root)} holds {named} images but no training split; name the folder or file of "
            "one split to use it alone, or add a folder called train"
        )
    if notices:
        listing = replace(listing, notices=(*notices, *listing.notices))
    return listing if groups is None else _grouped(listing, groups, root)


def _listed(root: Path, asked: _Asked) -> Listing:
    try:
        is_file = stat.S_ISREG(root.stat().st_mode)
    except (OSError, ValueError) as problem:  # a name with NUL in it is a ValueError
        number = getattr(problem, "errno", None)
        if number not in (errno.ENOENT, errno.ENOTDIR, None):
            strerror = getattr(problem, "strerror", problem)
            raise DataProblem(
                f"cannot look at {shown(root)}: {strerror}; mount it or change its mode"
            ) from None
        raise NothingThere(
            f"no such folder or file: {shown(root)}; give a folder of classes, or 'synthetic'"
        ) from None
    if is_file:
        for of_file in _FILES:
            if of_file.takes(root.name):
                _require_columns(of_file, root, asked)
                return of_file.read(root, asked)
        raise DataProblem(
            f"{shown(root)} is not a folder or a .parquet file; give one of these, a list (.csv, "
            ".tsv, .jsonl), a .tar or a .npz, and unpack another archive first"
        )
    tree = scan(root, arrays=asked.arrays)
    for reader in _FOLDERS:
        if (listing := reader.read(tree, asked)) is not None:
            _require_columns(reader, root, asked)
            return listing
    raise AssertionError("folders of classes refuse what they cannot read")


def _require_columns(reader: _FileReader | _FolderReader, root: Path, asked: _Asked) -> None:
    """
    Raises:
        InvalidSetting: if columns are named of a source that has none, or of several labels where
            images have one.
    """
    if asked.columns.labels is not None and not reader.several:
        raise InvalidSetting(
            f"several labels of an image are read from a list (.csv, .tsv, .jsonl) or Parquet, and "
            f"{shown(root)} is neither; write one, or leave labels= out"
        )
    if reader.columns:
        return
    if asked.columns.named:
        raise InvalidSetting(f"{shown(root)} has no columns to name behind a ?; leave that out")
    _refuse_column(asked.columns.group, root)


def _refuse_column(column: str | None, root: Path) -> None:
    if column is not None:
        raise InvalidSetting(
            f"--group-by {column} names a column, and {shown(root)} has none; group by names, as "
            "path:REGEX with a group in brackets"
        )


def _grouped(listing: Listing, groups: GroupBy, root: Path) -> Listing:
    """With the group of every picture."""
    if groups.column is not None:
        if listing.train.groups is None:
            _refuse_column(groups.column, root)
        return listing

    def own(pictures: Pictures | None) -> Pictures | None:
        if pictures is None:
            return None
        return replace(pictures, groups=groups.of_names(pictures.names))

    train = own(listing.train)
    assert train is not None
    return replace(listing, train=train, validation=own(listing.validation), test=own(listing.test))
