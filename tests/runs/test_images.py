"""Decoded images that are kept from one run to the next."""

import errno
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.datasets.data import ImageData, load
from autoscale.datasets.pictures import decoding
from autoscale.datasets.pictures.decoding import Decoded
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.runs import images as module
from autoscale.runs.cache import cache_folder
from autoscale.runs.images import VARIABLE, ImageCache


def images(photos: Path, cache: ImageCache | None, **options: Any) -> ImageData:
    return load(str(photos), **({"size": 8, "keep": cache} | options))


def same(one: ImageData, other: ImageData) -> bool:
    parts = [(one.train, other.train), (one.validation, other.validation)]
    assert one.test is not None
    assert other.test is not None
    return one.skipped == other.skipped and all(
        np.array_equal(a.pixels, b.pixels) and np.array_equal(a.labels, b.labels)
        for a, b in [*parts, (one.test, other.test)]
    )


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each picture that is decoded."""
    seen: list[int] = []
    decode = decoding.decode_one

    def counted(content: bytes, size: int, preparation: Preparation) -> Any:
        seen.append(size)
        return decode(content, size, preparation)

    monkeypatch.setattr(decoding, "decode_one", counted)
    return seen


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache", notice=pytest.fail)


def kept(cache: ImageCache) -> list[Path]:
    return sorted(cache.folder.glob("*.npy"))


def test_images_from_the_cache_are_the_decoded_ones_and_are_decoded_once(
    photos: Path, cache: ImageCache, decoded: list[int]
) -> None:
    plain = images(photos, None)
    decoded.clear()
    assert same(plain, images(photos, cache))
    assert len(decoded) == 42
    assert same(plain, images(photos, cache))
    assert len(decoded) == 42
    assert len(kept(cache)) == 3
    assert np.load(kept(cache)[0]).shape[1:] == (8, 8, 3)  # anybody may read them


def test_they_are_mapped_not_copied(photos: Path, cache: ImageCache) -> None:
    images(photos, cache)
    pixels = images(photos, cache).train.pixels
    assert type(pixels) is np.ndarray
    base: Any = pixels
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    assert type(base).__name__ == "mmap"


@pytest.mark.parametrize("change", ["bytes", "size", "version", "order"])
def test_what_decides_the_images_decides_the_file(
    photos: Path, cache: ImageCache, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    images(photos, cache)
    size = 8
    if change == "bytes":
        # Another picture of the same name, length and time of change.
        path = photos / "red" / "00.png"
        before = path.stat()
        content = bytearray(path.read_bytes())
        content[-20] ^= 1  # in the checksum of its end
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "size":
        size = 9
    elif change == "version":
        monkeypatch.setattr(decoding, "VERSION", decoding.VERSION + 1)
    else:
        one, other = photos / "red" / "00.png", photos / "red" / "01.png"
        content, later = one.read_bytes(), other.read_bytes()
        one.write_bytes(later)
        other.write_bytes(content)
    assert same(images(photos, None, size=size), images(photos, cache, size=size))
    assert len(kept(cache)) > 3


def test_where_the_images_lie_and_what_they_are_called_does_not(
    photos: Path, cache: ImageCache, decoded: list[int], tmp_path: Path
) -> None:
    images(photos, cache)
    decoded.clear()
    photos.rename(tmp_path / "moved")
    images(tmp_path / "moved", cache)
    assert decoded == []


def test_unreadable_pictures_are_told_each_time(photos: Path, cache: ImageCache) -> None:
    (photos / "red" / "00.png").write_bytes(b"no picture")
    plain = images(photos, None)
    assert len(plain.skipped) == 1
    for _ in range(2):
        assert same(plain, images(photos, cache))
    with pytest.raises(DataProblem, match=r"00\.png: not an image .*; repair the file"):
        images(photos, cache, strict=True)


def test_strict_leaves_nothing_behind(photos: Path, cache: ImageCache) -> None:
    for folder in photos.iterdir():
        for number in range(14):
            (folder / f"{number:02}.png").write_bytes(b"no picture")
    with pytest.raises(DataProblem, match="not an image"):
        images(photos, cache, strict=True)
    assert kept(cache) == []
    assert list(cache.folder.glob(".*.tmp")) == []


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_a_damaged_file_is_made_again(photos: Path, cache: ImageCache, damage: str) -> None:
    plain = images(photos, cache)
    for path in kept(cache):
        content = path.read_bytes()
        path.unlink()  # `plain` has it mapped
        path.write_bytes(
            {"cut": content[:-200], "header": b"x" + content[1:], "empty": b""}[damage]
        )
    assert same(plain, images(photos, cache))


def test_a_full_disk_is_told_and_the_images_are_made_in_memory(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    told: list[str] = []
    cache = ImageCache(tmp_path / "cache", notice=told.append)
    monkeypatch.setattr(module.os, "fsync", full)
    assert same(images(photos, None), images(photos, cache))
    assert len(told) == 3
    assert "No space left on device" in told[0]
    assert [path for path in cache.folder.iterdir() if path.suffix != ".lock"] == []


def test_a_folder_that_cannot_be_written_is_told(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    cache = ImageCache(tmp_path / "file" / "cache", notice=told.append)
    assert same(images(photos, None), images(photos, cache))
    assert "file" in told[0]


def test_images_that_take_half_of_the_free_disk_are_not_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    told: list[str] = []
    assert same(
        images(photos, None), images(photos, ImageCache(tmp_path / "cache", notice=told.append))
    )
    assert "more than half of the 0.0 GiB that are free" in told[0]


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, limit=2000, notice=pytest.fail)

    def take(name: str) -> list[str]:
        pixels = np.zeros((4, 8, 8, 3), dtype=np.uint8)  # 768 bytes and a header of 128
        assert cache(name, pixels.shape, lambda: iter([Decoded(pixels, {})])) is not None
        return [path.stem for path in kept(cache)]

    def age(seconds: int) -> None:
        for path in kept(cache):
            os.utime(path, (path.stat().st_mtime - seconds,) * 2)

    take("a")
    age(10)
    assert take("b") == ["a", "b"]
    age(10)
    take("a")
    age(10)
    assert take("c") == ["a", "c"]


def test_what_exceeds_the_limit_is_not_kept_and_zero_keeps_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    cache = ImageCache(tmp_path / "cache", limit=1000, notice=told.append)
    assert same(images(photos, None), images(photos, cache))
    assert f"raise {VARIABLE}" in told[0]
    monkeypatch.setenv(VARIABLE, "0")
    assert same(
        images(photos, None), images(photos, ImageCache(tmp_path / "none", notice=pytest.fail))
    )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InvalidSetting, match=f"{VARIABLE} must be a number of GiB .* '{text}'"):
        ImageCache()


def test_the_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOSCALE_CACHE", str(tmp_path))
    assert ImageCache().folder == cache_folder() / "images" == tmp_path / "images"


def test_of_several_at_once_one_decodes(tmp_path: Path) -> None:
    made: list[int] = []
    start = threading.Barrier(
        3
    )  # the lock is of the open file, so threads are as good as processes

    def chunks() -> Iterator[Decoded]:
        made.append(1)
        yield Decoded(np.full((2, 4, 4, 3), 7, dtype=np.uint8), {})

    def work(_: int) -> int:
        start.wait(timeout=60)
        found = ImageCache(tmp_path)("x", (2, 4, 4, 3), chunks)
        assert found is not None
        return int(found.pixels.sum())

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [7 * 96] * 3
    assert made == [1]


# Two users


TEAM = 2001  # the group of both


@contextmanager
def acting_as(user: int, *, umask: int = 0o022) -> Iterator[None]:
    """What another user without privileges may do."""
    before = os.umask(umask)
    os.setegid(TEAM)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.umask(before)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache in which a group of users may write, as an administrator would make it."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as two users")
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, 0, TEAM)
    folder.chmod(0o2770)
    monkeypatch.setenv("AUTOSCALE_CACHE", str(folder))
    yield folder
    shutil.rmtree(folder)


def keep(name: str, value: int, notice: Any = pytest.fail, **options: Any) -> Any:
    pixels = np.full((4, 8, 8, 3), value, dtype=np.uint8)
    found = ImageCache(notice=notice, **options)(
        name, pixels.shape, lambda: iter([Decoded(pixels, {})])
    )
    return found if found is None else int(found.pixels[0, 0, 0, 0])


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_another_users_images_are_used(shared: Path, umask: int) -> None:
    with acting_as(1001, umask=umask):
        assert keep("a", 1) == 1
    with acting_as(1002, umask=umask):
        assert keep("a", 2) == 1  # found there, not made
        assert keep("b", 3) == 3
    with acting_as(1001, umask=umask):
        assert keep("b", 4) == 3
    made = {path.name: path.stat() for path in (shared / "images").iterdir()}
    assert all(stat.S_IMODE(about.st_mode) == 0o660 for about in made.values())
    assert stat.S_IMODE((shared / "images").stat().st_mode) == 0o2770


def test_a_folder_that_others_may_only_read_serves_them(shared: Path) -> None:
    shared.chmod(0o755)
    keep("a", 1)
    told: list[str] = []
    with acting_as(1001):
        assert keep("a", 2) == 1
        assert keep("b", 3, told.append) is None
    assert len(told) == 1
    assert "Permission denied" in told[0]


def test_a_private_folder_stays_private(shared: Path) -> None:
    shared.chmod(0o700)
    keep("a", 1)
    about = (shared / "images" / "a.npy").stat()
    assert stat.S_IMODE(about.st_mode) == 0o600


def test_what_another_user_keeps_to_himself_or_protects_stops_nobody(shared: Path) -> None:
    shared.chmod(0o1777)  # in such a folder nobody deletes the files of others
    with acting_as(1001):
        keep("a", 1)
        (shared / "images" / ".b.npy.lock").touch(0o600)
        (shared / "images" / ".b.npy.lock").chmod(0o600)
    with acting_as(1002):
        assert keep("b", 2, limit=1000) == 2  # no room can be made, and none is missed
        assert keep("a", 3) == 1
