"""Which column of a source holds the pictures, and which says what of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import parse_qsl

from autoscale.datasets.pictures.pictures import shown
from autoscale.errors import DataProblem, InvalidSetting

#: Names of columns that are looked for, in this order and in any case.
IMAGE_COLUMNS = (
    "image", "img", "jpg", "jpeg", "png", "webp", "photo", "picture", "image_bytes", "bytes",
    "image_path", "file_name", "path",
)  # fmt: skip
#: The same in lists of files.
FILE_COLUMNS = (
    "image", "img", "photo", "picture", "image_path", "file_name", "filename", "file_path",
    "filepath", "file", "path", "image_name", "image_id",
)  # fmt: skip
LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class", "category", "cls")
#: Names of columns that tell the split of each row.
SPLIT_COLUMNS = ("split", "subset", "partition")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns to read; None looks for a usual name, or reads none."""

    image: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None  # said by --group-by, not behind the path
    # Of images that may have several labels: a column of lists or of texts that `separator` cuts,
    # or a column of 0 and 1 for each class.
    labels: tuple[str, ...] | None = None
    separator: str | None = None

    @property
    def named(self) -> bool:
        """Whether one is named behind the path."""
        return any((self.image, self.label, self.split, self.labels))


#: What may be named behind a path.
_ASKED = tuple(one.name for one in fields(Columns) if one.name != "group")


def columns_of(root: Path) -> tuple[Path, Columns]:
    """A path, and the columns named behind it, as images.parquet?image=photo&label=kind.

    Raises:
        InvalidSetting: if something else is named there.
    """
    path, mark, query = str(root).rpartition("?")
    if not mark or os.path.exists(root):
        return root, Columns()
    asked = dict(parse_qsl(query))
    if not asked or set(asked) - set(_ASKED):
        raise InvalidSetting(
            f"behind the ? of {shown(root)} columns are named, as ?image=photo&label=kind, and "
            "split, or of several labels an image ?labels=tags&separator=| or "
            f"?labels=one,other; got {query!r}"
        )
    labels, separator = asked.get("labels"), asked.get("separator")
    if labels is not None and "label" in asked:
        raise InvalidSetting(
            f"behind the ? of {shown(root)} label is of images with one label each and labels of "
            "those with several; leave one of them out"
        )
    if separator is not None and (labels is None or "," in labels):
        raise InvalidSetting(
            f"behind the ? of {shown(root)} the separator {separator!r} cuts one column of texts; "
            "name it, as ?labels=tags&separator=|"
        )
    several = None if labels is None else tuple(name.strip() for name in labels.split(","))
    if several is not None and (not all(several) or len({*several}) < len(several)):
        raise InvalidSetting(
            f"behind the ? of {shown(root)} labels must name different columns, got {labels!r}"
        )
    return Path(path), Columns(
        image=asked.get("image"),
        label=asked.get("label"),
        split=asked.get("split"),
        labels=several,
        separator=separator,
    )


def usual_names(names: Sequence[str], usual: Sequence[str]) -> list[str]:
    """Names that are usual, the best first."""
    return sorted(
        (name for name in names if name.lower() in usual),
        key=lambda name: (usual.index(name.lower()), name.lower() != name),
    )


def column_of(
    names: Sequence[str],
    path: Path,
    wanted: str | None,
    usual: Sequence[str],
    role: str,
    *,
    images: Sequence[str] = IMAGE_COLUMNS,
) -> str:
    """The name of the column of a role: the one that is wanted, else the first usual one.

    Args:
        path: the file, for messages.
        images: names that are usual for images there, for messages.

    Raises:
        DataProblem: if there is none, or there are two of the name.
    """
    if wanted is not None:
        found = [name for name in names if name == wanted][:1]
        missing = f"no column {wanted!r}"
    else:
        found = usual_names(names, usual)[:1]
        missing = f"none of them usual for {role}s"
    if not found:
        raise DataProblem(
            f"{path} has the columns {', '.join(names)}, {missing}; an image column "
            f"({', '.join(images)}) and a label column ({', '.join(LABEL_COLUMNS)}) are "
            f"needed: name yours behind the path, as '{path.name}?image=photo&label=kind'"
        )
    if (times := names.count(found[0])) > 1:
        raise DataProblem(f"{path} has {times} columns {found[0]!r}; keep one")
    return found[0]


def group_column(names: Sequence[str], path: Path, wanted: str) -> str:
    """The column that --group-by names.

    Raises:
        DataProblem: if there is none, or there are two of the name.
    """
    if names.count(wanted) != 1:
        raise DataProblem(
            f"--group-by {wanted}: {path} has {names.count(wanted)} columns of that name, of "
            f"{', '.join(names)}; name one of these, or group by names as path:REGEX"
        )
    return wanted
