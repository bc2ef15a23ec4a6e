"""Data sets that lie otherwise: what they are, and how to convert them."""

from __future__ import annotations

import os
import re
from collections import Counter

from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.tree import Folder, is_parquet

_HIVE = re.compile(r"[^=]+=.*")
_TABLES = re.compile(r"(metadata|labels?|annotations?|train|classes|data)\.(csv|tsv|jsonl)", re.I)
_ANY_TABLE = re.compile(r"(?!.*(test|submission)).*\.(csv|tsv|jsonl)", re.I)


def told(tree: Folder, *, flat: bool = False) -> str | None:
    """What lies in a folder that has no classes, and how to convert it; None if nobody knows.

    Args:
        flat: also tell of pictures that lie in one folder, with nothing about their classes.
    """
    for look in (_saved_to_disk, _tars, _objects, _table, *([_flat, _no_pictures] if flat else [])):
        if found := look(tree):
            return found
    return None


def _saved_to_disk(tree: Folder) -> str | None:
    for folder in tree.walk():
        arrow = any(name.endswith(".arrow") for name in folder.others)
        if arrow and {"dataset_info.json", "state.json"} & set(folder.notes):
            return (
                f"{shown(folder.path)} was written by save_to_disk of Hugging Face, and lies among "
                f"other things; name that folder: --data '{shown(folder.path)}'"
            )
    return None


def _tars(tree: Folder) -> str | None:
    for folder in tree.walk():
        if any(name.endswith((".tar", ".tar.gz", ".tgz")) for name in folder.others):
            return (
                f"{shown(folder.path)} holds tar files beside other files, which are no folders of "
                "classes; name one of them, or put them into a folder of their own"
            )
        if packed := [name for name in folder.others if name.endswith((".zip", ".7z", ".rar"))]:
            return f"{shown(folder.path)} holds the archive {shown(packed[0])}; unpack it first"
    return None


def _objects(tree: Folder) -> str | None:
    yolo = any(
        name.endswith(".txt")
        for labels in tree.walk()
        if labels.name.lower() == "labels"
        for folder in labels.walk()
        for name in folder.notes
    )
    for folder in tree.walk():
        names = {name.lower() for name in folder.notes}
        coco = any(re.match(r"(instances|_annotations|annotations|coco).*\.json", n) for n in names)
        voc = folder.name.lower() == "annotations" and any(n.endswith(".xml") for n in names)
        if coco or yolo or voc:
            kind = "COCO" if coco else "VOC" if voc else "YOLO"
            return (
                f"{shown(tree.path)} holds annotations of objects ({kind}), which give a picture "
                "no class; cut the objects out, and write each into a folder called like its class"
            )
    return None


def _table(tree: Folder) -> str | None:
    for folder in tree.walk():
        tables = [
            name
            for pattern in (_TABLES, _ANY_TABLE)
            for name in folder.notes
            if pattern.fullmatch(name)
        ]
        if tables and tree.count:
            return (
                f"{shown(folder.path)} names classes in {shown(tables[0])}; name that list: --data "
                f"'{shown(folder.path / tables[0])}'"
            )
    return None


def _flat(tree: Folder) -> str | None:
    for folder in tree.walk():
        if folder.count and not folder.live and folder.count == tree.count:
            return (
                f"{shown(folder.path)} holds {folder.count:,} files and 0 class sub-folders; at "
                "least 2 are needed: move the pictures of each class into a sub-folder that is "
                "called like it"
            )
    return None


def _no_pictures(tree: Folder) -> str | None:
    """Files of other programs, where there is no picture."""
    endings = Counter(
        os.path.splitext(name)[1].lower() for folder in tree.walk() for name in folder.others
    )
    if tree.count or not endings:
        return None
    ending, count = endings.most_common(1)[0]
    files = "file" if count == 1 else "files"
    return (
        f"{shown(tree.path)} holds {count:,} {files} of {ending} and no pictures; write the "
        "pictures as files, into a folder for each class, or into Parquet files with columns image "
        "and label"
    )


def hive_partitions(tree: Folder) -> str | None:
    """What to do with Parquet files in folders such as label=3; None where there are none."""
    for folder in tree.walk():
        if _HIVE.fullmatch(folder.name) and any(map(is_parquet, folder.others)):
            place = shown(tree.path)
            return (
                f"{place} holds Parquet files in partitions ({shown(folder.name)}); write them as "
                'one file: python -c "import pyarrow.parquet as p; p.write_table(p.read_table('
                f"'{place}', partitioning='hive'), 'data.parquet')\""
            )
    return None
