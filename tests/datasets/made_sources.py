"""Small sources of every kind that is read: red pictures of one class, blue ones of the other."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.datasets.sources import BLUE, RED

CLASSES = ("blue", "red")
COLOURS = {"blue": BLUE, "red": RED}
#: (class, split) of each picture; names are by number.
PICTURES = [(CLASSES[i % 2], "test" if i % 5 == 4 else "train") for i in range(20)]


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


PNG = {name: png(colour) for name, colour in COLOURS.items()}


def pixels(name: str, side: int = 8) -> np.ndarray:
    return np.broadcast_to(np.array(COLOURS[name], np.uint8), (side, side, 3)).copy()


# Lists


def rows() -> list[dict[str, Any]]:
    return [
        {"image": f"pictures/{i}.png", "label": kind, "split": split, "patient": f"p{i // 2}"}
        for i, (kind, split) in enumerate(PICTURES)
    ]


def write_pictures(folder: Path) -> None:
    (folder / "pictures").mkdir(parents=True)
    for i, (kind, _) in enumerate(PICTURES):
        (folder / "pictures" / f"{i}.png").write_bytes(PNG[kind])


def write_list(path: Path, found: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, found)), encoding="utf-8")
        return path
    mark = "\t" if path.suffix == ".tsv" else ","
    lines = [mark.join(found[0]), *(mark.join(map(str, row.values())) for row in found)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def without(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in names} for row in rows()]


def a_list(ending: str, *, split: bool) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        write_pictures(folder)
        left = without(() if split else ("split",))
        return str(write_list(folder / f"photos.{ending}", left))

    return write


def a_spreadsheet(folder: Path) -> str:
    """As spreadsheets write: a mark at the beginning, semicolons, CRLF, a quoted column."""
    write_pictures(folder)
    lines = ["filename;Label;note"]
    lines += [f'"pictures/{i}.png";{kind};"a;b"' for i, (kind, _) in enumerate(PICTURES)]
    (folder / "photos.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return str(folder / "photos.csv")


def a_list_of_windows(folder: Path) -> str:
    write_pictures(folder)
    found = [row | {"image": row["image"].replace("/", "\\")} for row in without(("split",))]
    return str(write_list(folder / "photos.csv", found))


def a_list_with_other_names(folder: Path) -> str:
    write_pictures(folder)
    found = [{"scan": row["image"], "kind": row["label"], "fold": row["split"]} for row in rows()]
    return f"{write_list(folder / 'photos.csv', found)}?image=scan&label=kind&split=fold"


def a_list_of_numbers(folder: Path) -> str:
    write_pictures(folder)
    found = [row | {"label": 2 + 8 * (row["label"] == "red")} for row in without(("split",))]
    return str(write_list(folder / "photos.csv", found))


# Tar files


def write_tar(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def samples(kind: str, split: str | None = None) -> list[tuple[str, bytes]]:
    """The files of WebDataset samples whose labels lie in files of that ending."""
    found = []
    for i, (name, own) in enumerate(PICTURES):
        if split not in (None, own):
            continue
        label = {
            "cls": str(CLASSES.index(name)),
            "txt": name,
            "json": json.dumps({"label": name, "patient": f"p{i // 2}"}),
        }[kind]
        found += [(f"{i:04}.png", PNG[name]), (f"{i:04}.{kind}", label.encode())]
    return found


def shards(kind: str) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        for split in ("train", "test"):
            found = samples(kind, split)
            half = len(found) // 4 * 2
            write_tar(folder / f"{split}-000.tar", found[:half])
            write_tar(folder / f"{split}-001.tar", found[half:])
        return str(folder)

    return write


def lone_tar(kind: str) -> Callable[[Path], str]:
    return lambda folder: str(write_tar(folder / "photos.tar", samples(kind)))


def named_tar(folder: Path) -> str:
    folder.mkdir(parents=True)
    (folder / "classes.txt").write_text("blue\nred\n")
    return str(write_tar(folder / "photos.tar", samples("cls")))


def folders(split: bool) -> list[tuple[str, bytes]]:
    return [
        (f"{own}/{kind}/{i}.png" if split else f"{kind}/{i}.png", PNG[kind])
        for i, (kind, own) in enumerate(PICTURES)
    ]


def tar_of_folders(*, split: bool) -> Callable[[Path], str]:
    return lambda folder: str(write_tar(folder / "photos.tar", folders(split)))


def tars_of_classes(folder: Path) -> str:
    for name in CLASSES:
        own = [one for one in folders(False) if one[0].startswith(name)]
        write_tar(folder / f"{name}.tar", [(path.partition("/")[2], c) for path, c in own])
    return str(folder)


# Tables


def write_parquet(path: Path, *, split: str | None = None, column: bool = False) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow_table(pa, split=split, column=column), path)
    return path


def arrow_table(pa: Any, *, split: str | None = None, column: bool = False) -> Any:
    chosen = [(i, *one) for i, one in enumerate(PICTURES) if split in (None, one[1])]
    table = {
        "image": [{"bytes": PNG[kind], "path": None} for _, kind, _ in chosen],
        "label": [CLASSES.index(kind) for _, kind, _ in chosen],
        "patient": [f"p{i // 2}" for i, _, _ in chosen],
    }
    if column:
        table["part"] = [own for _, _, own in chosen]
    return pa.table(table)


def one_parquet(folder: Path) -> str:
    return str(write_parquet(folder / "photos.parquet"))


def parquet_with_splits(folder: Path) -> str:
    return f"{write_parquet(folder / 'photos.parquet', column=True)}?split=part"


def save_to_disk(folder: Path, split: str | None = None) -> Path:
    """What `datasets.Dataset.save_to_disk` writes."""
    import pyarrow as pa

    folder.mkdir(parents=True)
    table = arrow_table(pa, split=split)
    half = len(table) // 2
    names = []
    for number, part in enumerate((table.slice(0, half), table.slice(half))):
        names.append(f"data-{number:05}-of-00002.arrow")
        place = str(folder / names[-1])
        with pa.OSFile(place, "wb") as file, pa.ipc.new_stream(file, part.schema) as writer:
            writer.write_table(part)
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(CLASSES), "_type": "ClassLabel"},
        "patient": {"dtype": "string", "_type": "Value"},
    }
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    state = {"_data_files": [{"filename": name} for name in names], "_split": split}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def one_saved(folder: Path) -> str:
    return str(save_to_disk(folder))


def saved_splits(folder: Path) -> str:
    for split in ("train", "test"):
        save_to_disk(folder / split, split)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return str(folder)


def in_hub(folder: Path, *, shards: int = 1) -> Path:
    """A cache of huggingface_hub, which holds some Parquet files of a data set."""
    held = folder / "datasets--me--photos" / "snapshots" / ("a" * 40)
    (folder / "datasets--me--photos" / "refs").mkdir(parents=True)
    (folder / "datasets--me--photos" / "refs" / "main").write_text("a" * 40)
    for split in ("train", "test"):
        write_parquet(held / "data" / f"{split}-00000-of-{shards:05}.parquet", split=split)
    return folder


# Arrays


def arrays(split: str, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    chosen = [kind for kind, own in PICTURES if split in ("", own)]
    labels = np.array([CLASSES.index(kind) for kind in chosen], np.uint8)
    return np.stack([pixels(kind, side) for kind in chosen]), labels


def medmnist() -> dict[str, Any]:
    """As MedMNIST writes them, labels in a column."""
    found: dict[str, Any] = {}
    for split in ("train", "test"):
        images, labels = arrays(split)
        found |= {f"{split}_images": images, f"{split}_labels": labels[:, None]}
    return found


def keras() -> dict[str, Any]:
    (images, labels), (others, theirs) = arrays("train"), arrays("test")
    return {"x_train": images, "y_train": labels, "x_test": others, "y_test": theirs}


def whole() -> dict[str, Any]:
    images, labels = arrays("")
    names = np.array(CLASSES)
    return {"images": images.transpose(0, 3, 1, 2), "labels": labels, "class_names": names}


def write_npz(folder: Path, found: Mapping[str, Any]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "photos.npz", **found)
    return str(folder / "photos.npz")


def npz(make: Callable[[], dict[str, Any]]) -> Callable[[Path], str]:
    return lambda folder: write_npz(folder, make())


def planes(split: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = arrays(split, 32)
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1), labels


def cifar_binary(folder: Path) -> str:
    folder.mkdir(parents=True)
    for name, split in (("data_batch_1.bin", "train"), ("test_batch.bin", "test")):
        images, labels = planes(split)
        (folder / name).write_bytes(np.hstack([labels[:, None], images]).tobytes())
    (folder / "batches.meta.txt").write_text("blue\nred\n\n")
    return str(folder)


def cifar_hundred(folder: Path) -> str:
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        images, labels = planes(split)
        both = np.hstack([np.zeros_like(labels)[:, None], labels[:, None], images])
        (folder / f"{split}.bin").write_bytes(both.tobytes())
    (folder / "fine_label_names.txt").write_text("blue\nred\n")
    return str(folder)


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def cifar_pickled(folder: Path) -> str:
    for name, split in (("data_batch_1", "train"), ("test_batch", "test")):
        images, labels = planes(split)
        dump(folder / name, {b"data": images, b"labels": labels.tolist(), b"filenames": [b"a"]})
    dump(folder / "batches.meta", {b"label_names": [b"blue", b"red"]})
    return str(folder)


def cifar_hundred_pickled(folder: Path) -> str:
    for split in ("train", "test"):
        images, labels = planes(split)
        found = {"data": images, "fine_labels": labels.tolist(), "coarse_labels": [0] * len(labels)}
        dump(folder / split, found)
    dump(folder / "meta", {"fine_label_names": ["blue", "red"], "coarse_label_names": ["a"]})
    return str(folder)


def idx_of(values: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, values.ndim)) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return head + values.tobytes()


def idx(*, packed: bool) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        folder.mkdir(parents=True)
        for name, split in (("train", "train"), ("t10k", "test")):
            images, labels = arrays(split)
            grey = np.where(labels[:, None, None] == 1, images[..., 0], 0).astype(np.uint8)
            for kind, values in (("images-idx3", grey), ("labels-idx1", labels)):
                content = idx_of(values)
                path = folder / f"{name}-{kind}-ubyte{'.gz' if packed else ''}"
                path.write_bytes(gzip.compress(content) if packed else content)
        return str(folder)

    return write


GOOD: dict[str, Callable[[Path], str]] = {
    **{f"{e}": a_list(e, split=False) for e in ("csv", "tsv", "jsonl")},
    **{f"{e} with splits": a_list(e, split=True) for e in ("csv", "tsv", "jsonl")},
    "spreadsheet": a_spreadsheet,
    "list of Windows": a_list_of_windows,
    "list with other names": a_list_with_other_names,
    "list of numbers": a_list_of_numbers,
    **{f"tar of {kind}": lone_tar(kind) for kind in ("cls", "txt", "json")},
    **{f"shards of {kind}": shards(kind) for kind in ("cls", "txt", "json")},
    "tar with names of classes": named_tar,
    "tar of folders": tar_of_folders(split=False),
    "tar of splits": tar_of_folders(split=True),
    "tars of classes": tars_of_classes,
    "parquet": one_parquet,
    "parquet with splits": parquet_with_splits,
    "saved to disk": one_saved,
    "saved splits": saved_splits,
    "medmnist": npz(medmnist),
    "keras": npz(keras),
    "channels first": npz(whole),
    "cifar binary": cifar_binary,
    "cifar 100 binary": cifar_hundred,
    "cifar pickled": cifar_pickled,
    "cifar 100 pickled": cifar_hundred_pickled,
    "idx": idx(packed=False),
    "idx packed": idx(packed=True),
}
#: Those whose classes have only numbers.
NUMBERED = {"tar of cls", "shards of cls", "parquet", "parquet with splits", "medmnist", "keras",
            "idx", "idx packed", "list of numbers"}  # fmt: skip
#: Those that name a test split.
WITH_SPLITS = {
    *(name for name in GOOD if "splits" in name or name.startswith(("shards", "cifar"))),
    *("list with other names", "medmnist", "keras", "idx", "idx packed"),
}
