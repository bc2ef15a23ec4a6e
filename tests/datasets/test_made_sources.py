"""Sources of every kind, whole and damaged: each is read as it is meant, or refused in a line."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.datasets.data import list_source
from autoscale.errors import AutoscaleError, DataProblem, InvalidSetting
from tests.datasets import made_sources as made
from tests.datasets.sources import read

pytest.importorskip("pyarrow")


@pytest.mark.parametrize("name", made.GOOD)
def test_a_source_is_read_as_it_is_meant(tmp_path: Path, name: str) -> None:
    source = made.GOOD[name](tmp_path / "set")
    found = read(source)
    parts = [found.train, found.validation, found.test]
    assert sum(len(part) for part in parts if part is not None) == len(made.PICTURES)
    assert found.skipped == ()
    numbers = ("2", "10") if name == "list of numbers" else ("0", "1")
    assert found.classes == (numbers if name in made.NUMBERED else made.CLASSES)
    for part in parts:
        assert part is not None
        red = part.pixels[..., 0].mean(axis=(1, 2)) > 100
        assert np.array_equal(red, part.labels == 1)
    in_test = sum(split == "test" for _, split in made.PICTURES)
    assert found.test is not None
    if name in made.WITH_SPLITS:
        assert len(found.test) == in_test
        assert found.summary.cut == ("validation",)
    else:
        assert found.summary.cut == ("test", "validation")
    assert read(source).fingerprint == found.fingerprint


def test_a_source_says_nothing_else_of_what_is_whole(tmp_path: Path) -> None:
    for name in ("csv", "shards of cls", "saved splits", "medmnist", "idx"):
        listing = list_source(Path(made.GOOD[name](tmp_path / name)))
        assert (listing.notices, listing.skipped, listing.unused) == ((), (), ())


# What is left out, and named


def lists(change: Callable[[list[dict[str, Any]]], Any], ending: str) -> Callable[[Path], str]:
    """A list with its rows changed in place."""

    def write(folder: Path) -> str:
        made.write_pictures(folder)
        found = made.rows()
        change(found)
        return str(made.write_list(folder / f"photos.{ending}", found))

    return write


def text(content: bytes | str, name: str = "photos.csv") -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        made.write_pictures(folder)
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def changed(make: str, change: Callable[[Path], Any]) -> Callable[[Path], str]:
    """A good source with something done to its files."""

    def write(folder: Path) -> str:
        source = made.GOOD[make](folder)
        change(folder)
        return source

    return write


def tar(files: list[tuple[str, bytes]]) -> Callable[[Path], str]:
    return lambda folder: str(made.write_tar(folder / "photos.tar", files))


def shortened(name: str, count: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:count])

    return change


def filled(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return change


def lost(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def with_link(folder: Path) -> str:
    path = folder / "photos.tar"
    made.write_tar(path, made.samples("txt"))
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("evil.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return str(path)


SAMPLES = made.samples("txt")
PIPE = ("0099.txt", b"red")
#: How it is made -> what is said to be left out, how many pictures are read all the same.
NAMED: dict[str, tuple[Callable[[Path], str], str, int]] = {
    **{
        f"a missing file in {e}": (
            lists(lambda rows: rows[3].update(image="pictures/none.png"), e),
            r"pictures/none.png: No such file", 19,
        )
        for e in ("csv", "tsv", "jsonl")
    },
    **{
        f"a folder in {e}": (
            lists(lambda rows: rows[3].update(image="pictures"), e), "pictures: not a regular", 19,
        )
        for e in ("csv", "tsv", "jsonl")
    },
    **{
        f"a damaged picture in {e}": (
            lambda folder, e=e: str(  # type: ignore[misc]
                (made.a_list(e, split=False)(folder),
                 (folder / "pictures/3.png").write_bytes(b"no picture"))[0]
            ),
            "pictures/3.png: not an image", 19,
        )
        for e in ("csv", "tsv", "jsonl")
    },
    "a damaged picture in a tar": (
        tar([*SAMPLES[:4], ("x.png", b"no"), ("x.txt", b"red"), *SAMPLES[4:]]),
        "photos.tar/x.png: not an image", 20,
    ),
    "an empty picture in a tar": (
        tar([*SAMPLES, ("x.png", b""), ("x.txt", b"red")]), "x.png: not an image but an empty", 20,
    ),
    "a label without a picture": (tar([*SAMPLES, PIPE]), "0099: a label without a picture", 20),
    "a link in a tar": (with_link, "evil.png: a link", 20),
    "a path out of a tar": (
        tar([*SAMPLES, ("../../x.png", made.PNG["red"])]), "x.png: a path that leads out", 20,
    ),
    "a damaged picture in a tar of folders": (
        tar([*made.folders(False), ("red/x.png", b"no picture")]), "red/x.png: not an image", 20,
    ),
    "a video in a tar of folders": (
        tar([*made.folders(False), ("red/x.mp4", b"no picture")]), "x.mp4: .mp4 is no picture", 20,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_what_is_left_out_is_named_and_strict_refuses_it(tmp_path: Path, name: str) -> None:
    make, said, count = NAMED[name]
    source = make(tmp_path / "set")
    found = read(source)
    parts = (found.train, found.validation, found.test)
    assert sum(len(part) for part in parts if part is not None) == count
    assert any(re.search(said, line) for line in found.unreadable), found.unreadable
    with pytest.raises(DataProblem, match=said):
        read(source, strict=True)


def doubled(rows: list[dict[str, Any]]) -> None:
    rows.append(dict(rows[2]))


TOLD: dict[str, tuple[Callable[[Path], str], str, int]] = {
    **{
        f"a path twice in {e}": (lists(doubled, e), "1 row of photos.* again, with the same", 20)
        for e in ("csv", "tsv", "jsonl")
    },
    "a batch of CIFAR alone": (made.cifar_binary, "1 of the 5 files data_batch_1", 20),
    "no labels in the test arrays": (
        lambda folder: made.write_npz(
            folder, {k: v for k, v in made.medmnist().items() if k != "test_labels"}
        ),
        "test rows have no labels", 16,
    ),
    "no labels in the test shard": (
        lambda folder: str(
            (made.write_tar(folder / "train.tar", SAMPLES),
             made.write_tar(folder / "test.tar", [("a.png", made.PNG["red"])]), folder)[2]
        ),
        "test rows have no labels", 20,
    ),
    "a class without a row": (
        lambda folder: made.write_npz(
            folder, made.whole() | {"class_names": np.array(["blue", "red", "green"])}
        ),
        "class 'green' .* no row", 20,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_what_may_be_meant_otherwise_is_said(tmp_path: Path, name: str) -> None:
    make, said, count = TOLD[name]
    found = read(make(tmp_path / "set"))
    parts = (found.train, found.validation, found.test)
    assert sum(len(part) for part in parts if part is not None) == count
    assert re.search(said, " ".join(found.notices)), found.notices


# What is refused


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def evil(folder: Path) -> str:
    made.cifar_pickled(folder)
    made.dump(folder / "data_batch_1", {b"data": _Evil(folder / "ran")})
    return str(folder)


def batch(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        images, labels = made.planes("train")
        made.dump(folder / "data_batch_1", {"data": images, "labels": labels.tolist()} | changes)

    return change


def arrays(**changes: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        found = {k: v for k, v in (made.medmnist() | changes).items() if v is not None}
        return made.write_npz(folder, found)

    return write


def joined(folder: Path) -> str:
    path = made.write_tar(folder / "photos.tar", SAMPLES)
    path.write_bytes(path.read_bytes() + path.read_bytes())
    return str(path)


def holed(folder: Path) -> str:
    path = made.write_tar(folder / "photos.tar", SAMPLES)
    content = bytearray(path.read_bytes())
    content[2048 : 2048 + 512] = b"\x07" * 512
    path.write_bytes(content)
    return str(path)


def packed(squeeze: Callable[[bytes], bytes], ending: str) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        path = made.write_tar(folder / "photos.tar", SAMPLES)
        other = folder / f"photos.tar{ending}"
        other.write_bytes(squeeze(path.read_bytes()))
        return str(other)

    return write


def at_one(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[3].__setitem__(name, value)


def at_all(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row[name] = value

    return change


OTHER = {"csv": "", "tsv": "", "jsonl": None}
IMAGES, LABELS = made.arrays("train")
REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    **{
        f"{what} in {e}": (lists(change, e), said)
        for e in ("csv", "tsv", "jsonl")
        for what, change, said in [
            ("an empty label", at_one("label", OTHER[e]), "line [45] has no label"),
            ("an empty path", at_one("image", OTHER[e]), "line [45] has nothing for a path"),
            ("an address", at_one("image", "https://a.b/c.png"), "lies on no disk"),
            ("a strange split", at_one("split", "fold 3"), "split 'fold 3'; write train"),
            ("an empty split", at_one("split", OTHER[e]), "line [45] has no split"),
            ("files that are not there", at_all("image", "x/y.png"), "20 of the 20 files that"),
            ("one class", at_all("label", "red"), "has 1 class; at least 2"),
            ("no training split", at_all("split", "test"), "test images but no training"),
            ("two labels of a path", lambda r: r.append(r[2] | {"label": "red"}), "two labels"),
            ("two splits of a path", lambda r: r.append(r[2] | {"split": "val"}), "two splits"),
            ("a class of the test alone", lambda r: r[4].update(label="green"), "class 'green' of"),
            ("one row", lambda r: r.__delitem__(slice(1, None)), "has 1 class"),
        ]
    },
    "an empty list": (text(""), "has no rows"),
    "a header alone": (text("image,label\n"), "has no rows"),
    "a list without a header": (
        text("pictures/0.png,red\npictures/1.png,blue\n"), "none of them usual for images",
    ),
    "no column of labels": (text("image,colour\npictures/0.png,red\n"), "none of them usual for l"),
    "two columns of labels": (text("image,label,label\na,b,c\n"), "has 2 columns 'label'"),
    "a field too many": (text("image,label\npictures/0.png,red,dark\n"), "line 2 has 3 fields"),
    "an open quote": (text('image,label\n"pictures/0.png,red\n'), "cannot read .*quotes"),
    "another encoding": (text("image,label\ncaf\xe9.png,red\n".encode("latin-1")), "not UTF-8"),
    "a NUL": (text("image,label\na\0b.png,red\n"), "for a path|line contains NUL|cannot read"),
    "a long field": (text("image,label\n" + "x" * 140_000 + ",red\n"), "cannot read .* limit"),
    "no JSON": (text('{"image": 1', "photos.jsonl"), "line 1 is no JSON"),
    "no object": (text("[1, 2]", "photos.jsonl"), "line 1 is no JSON object"),
    "deep JSON": (text("[" * 100_000, "photos.jsonl"), "line 1 is no JSON"),
    "a path that is none": (text('{"image": 3, "label": "a"}', "photos.jsonl"), "has 3 for a p"),
    "an object": (text('{"image": "a", "label": {"a": 1}}', "photos.jsonl"), "one number"),
    "names and numbers": (
        text('{"image": "a", "label": "a"}\n{"image": "b", "label": 1}', "photos.jsonl"),
        "give names in all, or numbers",
    ),
    "no number": (text('{"image": "pictures/0.png", "label": NaN}', "photos.jsonl"), "no label"),
    "a column that is not there": (
        lambda folder: made.a_list("csv", split=False)(folder) + "?label=kind", "no column 'kind'",
    ),
    "a column of another kind": (
        lambda folder: made.a_list("csv", split=False)(folder) + "?depth=3", "columns are named",
    ),
    # Tar files
    "an empty tar": (tar([]), "0 class sub-folders|no pictures|at least 2"),
    "no tar": (
        lambda folder: (folder.mkdir(), (folder / "a.tar").write_bytes(b"x" * 2000),
                        str(folder / "a.tar"))[2],
        "cannot read .*a.tar",
    ),
    **{
        f"a tar cut off at {at:,}": (
            changed("tar of txt", shortened("photos.tar", at)), "is cut off after|cannot read",
        )
        for at in (512, 700, 1024, 5120, 10240, 20480)
    },
    "tars joined by cat": (joined, "goes on behind the mark of its end"),
    "a damaged header": (holed, "is damaged at byte|cannot read"),
    "gzip": (packed(gzip.compress, ".gz"), "is compressed, .*gzip -dk 'photos.tar.gz'"),
    "bzip2": (packed(bz2.compress, ".bz2"), "is compressed, .*bzip2 -dk"),
    "gzip called tar": (
        changed("tar of txt", filled("photos.tar", gzip.compress(b"x"))), "is compressed",
    ),
    "a sample without a label": (
        tar([*SAMPLES, ("x.png", made.PNG["red"])]), "photos.tar/x has no label",
    ),
    "two pictures of a sample": (
        tar([*SAMPLES, ("x.png", b""), ("x.jpg", b""), ("x.txt", b"red")]), "has several pictures",
    ),
    "a member twice": (tar([*SAMPLES, SAMPLES[0]]), "holds 0000.png twice"),
    "a member of folders twice": (
        tar([*made.folders(False), made.folders(False)[0]]), "twice",
    ),
    "a label in another encoding": (
        tar([*SAMPLES, ("x.png", b""), ("x.txt", b"caf\xe9")]), "label of photos.tar/x: it is not",
    ),
    "a caption": (tar([*SAMPLES, ("x.png", b""), ("x.txt", b"a\nb")]), "a text and no class"),
    "broken JSON in a tar": (
        tar([*made.samples("json"), ("x.png", b""), ("x.json", b"{")]), "x.json is no JSON",
    ),
    "JSON without a label": (
        tar([*made.samples("json"), ("x.png", b""), ("x.json", b'{"a": 1}')]), "x has no label",
    ),
    "a field that is not there": (
        lambda folder: made.lone_tar("json")(folder) + "?label=kind", "neither a file .kind nor",
    ),
    "a number without a name": (
        changed("tar with names of classes", filled("classes.txt", b"blue\n")), "has the label 1",
    ),
    "a name twice": (
        changed("tar with names of classes", filled("classes.txt", b"red\nred\n")), "different cl",
    ),
    "one class in a tar": (tar(SAMPLES[:2]), "has 1 class"),
    "one folder in a tar": (tar([("a/0.png", b"x"), ("a/1.png", b"x")]), "1 class sub-folders"),
    "different labels in shards": (
        lambda folder: str(
            (made.write_tar(folder / "a-0.tar", SAMPLES),
             made.write_tar(folder / "a-1.tar", made.samples("cls")), folder)[2]
        ),
        "have different labels, str and int",
    ),
    # Tables
    "a saved file that is not there": (
        changed("saved to disk", lost("data-00001-of-00002.arrow")), "1 of the 2 files that",
    ),
    "a damaged saved file": (
        changed("saved to disk", shortened("data-00001-of-00002.arrow", 200)), "cannot read",
    ),
    "no state": (changed("saved to disk", filled("state.json", b"{}")), "does not name .arrow"),
    "a damaged state": (changed("saved to disk", filled("state.json", b"{")), "cannot read .*stat"),
    "files elsewhere": (
        changed("saved to disk",
                filled("state.json", b'{"_data_files": [{"filename": "../x.arrow"}]}')),
        "files in other folders",
    ),
    "a selection of rows": (
        changed("saved to disk", filled(
            "state.json", b'{"_data_files": [], "_indices_data_files": [{"filename": "i"}]}')),
        "selects rows",
    ),
    "a saved split that is not there": (
        changed("saved splits", lambda folder: shutil.rmtree(folder / "test")), "split 'test', and",
    ),
    "saved splits without names": (
        changed("saved splits", filled("dataset_dict.json", b"{}")), "names no splits",
    ),
    "two saved training splits": (
        changed("saved splits", filled("dataset_dict.json", b'{"splits": ["train", "train"]}')),
        "has two train splits",
    ),
    "a split of Parquet that is none": (
        lambda folder: f"{made.write_parquet(folder / 'a.parquet')}?split=patient", "split 'p0'",
    ),
    # Arrays
    "floats": (arrays(train_images=IMAGES.astype(np.float32)), "numbers of float32"),
    "16 bits": (arrays(train_images=IMAGES.astype(np.uint16)), "numbers of uint16"),
    "pickled images": (arrays(train_images=np.array([None, {}], object)), "pickled objects"),
    "pickled labels": (arrays(train_labels=np.array([None] * 16, object)), "pickled objects"),
    "fewer labels": (arrays(train_labels=LABELS[:9]), r"shape \(9,\) for 16 images"),
    "labels of several": (arrays(train_labels=np.zeros((16, 14), int)), "one label for each"),
    "labels with a fraction": (arrays(train_labels=LABELS + 0.5), "with a fraction"),
    "no labels": (arrays(train_labels=None), "no label"),
    "no images": (
        lambda folder: made.write_npz(folder, {"a": IMAGES, "train_labels": LABELS}), "arrays a",
    ),
    "flat images": (arrays(train_images=IMAGES.reshape(16, -1)), r"has the shape \(16, 192\)"),
    "five channels": (arrays(train_images=np.zeros((16, 8, 8, 5), np.uint8)), "has the shape"),
    "no picture at all": (arrays(train_images=IMAGES[:0], train_labels=LABELS[:0]), "shape|rows"),
    "one class in arrays": (arrays(train_labels=LABELS * 0), "has 1 class"),
    "an unknown class in arrays": (
        arrays(test_labels=np.full(4, 7)), "class '7' of test has no training",
    ),
    "a name too few": (
        lambda folder: made.write_npz(folder, made.whole() | {"labels": made.arrays("")[1] * 5}),
        "has the label 5",
    ),
    "no archive": (changed("medmnist", filled("photos.npz", b"no zip")), "cannot read"),
    "a cut archive": (changed("medmnist", shortened("photos.npz", 400)), "cannot read"),
    # Originals
    "a CIFAR batch cut off": (
        changed("cifar binary", shortened("data_batch_1.bin", 5000)), "5,000 bytes, and each",
    ),
    "an empty CIFAR batch": (changed("cifar binary", filled("data_batch_1.bin", b"")), "0 bytes"),
    "a CIFAR label without a name": (
        changed("cifar binary", filled("batches.meta.txt", b"blue\n")), "has the label 1",
    ),
    "CIFAR names twice": (
        changed("cifar binary", filled("batches.meta.txt", b"a\na\n")), "must name different",
    ),
    "a CIFAR label that is none": (
        lambda folder: made.cifar_hundred(folder) + "?label=rough", "names none of them",
    ),
    "a pickle that runs": (evil, "asks for .*mkdir, which .* is not run"),
    "a pickle cut off": (changed("cifar pickled", shortened("data_batch_1", 900)), "cannot read"),
    "no pickle": (changed("cifar pickled", filled("data_batch_1", b"\x80\x02x")), "cannot read"),
    "a pickled list": (changed("cifar pickled", lambda f: made.dump(f / "data_batch_1", [1])),
                       "no dictionary"),
    "a pickle without images": (changed("cifar pickled", batch(data=None)), "no array of uint8"),
    "a pickle of floats": (
        changed("cifar pickled", batch(data=np.zeros((16, 3072)))), "not of unsigned bytes",
    ),
    "a pickle of other sizes": (
        changed("cifar pickled", batch(data=np.zeros((16, 100), np.uint8))), "images of 100",
    ),
    "a pickle of few labels": (changed("cifar pickled", batch(labels=[0, 1])), "2 labels"),
    "a pickle of other labels": (changed("cifar pickled", batch(labels=["a"] * 16)), "whole num"),
    "a pickled class": (changed("cifar pickled", batch(labels=Path("a"))), "pathlib"),
    "idx cut off": (changed("idx", shortened("train-images-idx3-ubyte", 500)), "484 numbers of"),
    "idx of another kind": (
        changed("idx", filled("train-images-idx3-ubyte", b"\0\0\x0d\x03" + b"\0" * 12)), "begins w",
    ),
    "an empty idx": (changed("idx", filled("train-labels-idx1-ubyte", b"")), "begins with"),
    "idx without labels": (changed("idx", lost("train-labels-idx1-ubyte")), "without its labels"),
    "idx with few labels": (
        changed("idx", filled("train-labels-idx1-ubyte", made.idx_of(LABELS[:5]))), "5 labels",
    ),
    "a damaged gzip": (
        changed("idx packed", shortened("train-images-idx3-ubyte.gz", 40)), "cannot read",
    ),
    # The hub
    "a data set that is not here": (lambda folder: "hf:me/other", "is not in the cache|not be fet"),
    "no name of the hub": (lambda folder: "hf:other", "names no data set of the Hugging Face hub"),
    "a way out of the hub": (lambda folder: "hf:a/..", "names no data set of the Hugging Face hub"),
    "some of the shards": (
        lambda folder: (made.in_hub(folder.parent / "cache", shards=3), "hf:me/photos")[1],
        "holds 1 of the 3 files test-",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_line(tmp_path: Path, name: str) -> None:
    make, said = REFUSED[name]
    source = make(tmp_path / "set")
    with pytest.raises((DataProblem, InvalidSetting), match=said) as refusal:
        read(source)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "set" / "ran").exists()


def test_as_many_sources_are_made_as_are_said() -> None:
    assert len(made.GOOD) + len(NAMED) + len(TOLD) + len(REFUSED) >= 150


# Details


def test_a_tar_is_not_unpacked(tmp_path: Path) -> None:
    source = made.lone_tar("txt")(tmp_path / "set")
    before = sorted(tmp_path.rglob("*"))
    read(source)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_list_keeps_its_fingerprint_where_it_is_moved(tmp_path: Path) -> None:
    made.a_list("csv", split=True)(tmp_path / "one")
    first = read(tmp_path / "one" / "photos.csv").fingerprint
    shutil.move(tmp_path / "one", tmp_path / "other")
    assert read(tmp_path / "other" / "photos.csv").fingerprint == first


def test_columns_behind_folders_are_refused(tmp_path: Path) -> None:
    made.write_pictures(tmp_path / "set")
    for kind in made.CLASSES:
        (tmp_path / "set" / kind).mkdir()
        (tmp_path / "set" / kind / "0.png").write_bytes(made.PNG[kind])
    shutil.rmtree(tmp_path / "set" / "pictures")
    with pytest.raises(AutoscaleError, match="has no columns to name"):
        list_source(Path(f"{tmp_path}/set?label=a"))


def test_the_labels_of_json_rows_are_read_as_they_are_written(tmp_path: Path) -> None:
    made.write_pictures(tmp_path)
    lines = [json.dumps({"image": f"pictures/{i}.png", "label": i % 2 == 1}) for i in range(6)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert list_source(tmp_path / "a.jsonl").classes == ("False", "True")


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Some bytes changed, cut off, taken out or put in, mostly near the beginning."""
    found = bytearray(content)
    for _ in range(random.integers(1, 4)):
        most = len(found) if random.random() < 0.5 else min(len(found), 600)
        if most == 0:
            break
        place, how = int(random.integers(most)), random.random()
        if how < 0.6:
            found[place] = int(random.integers(256))
        elif how < 0.75:
            del found[place:]
        elif how < 0.9:
            del found[place : place + int(random.integers(1, 40))]
        else:
            found[place:place] = random.bytes(int(random.integers(1, 20)))
    return bytes(found)


@pytest.mark.parametrize("name", made.GOOD)
def test_damage_of_any_kind_is_refused_in_a_line_if_at_all(tmp_path: Path, name: str) -> None:
    source = made.GOOD[name](tmp_path / "set")
    files = [path for path in sorted((tmp_path / "set").rglob("*")) if path.is_file()]
    files = [path for path in files if path.suffix != ".png"]
    random = np.random.default_rng(list(name.encode()))
    said = []
    for _ in range(3):
        path = files[int(random.integers(len(files)))]
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, random))
        try:
            read(source)
        except AutoscaleError as problem:
            said.append(str(problem))
        path.write_bytes(whole)
    assert not any("\n" in text for text in said)
