"""How a folder of images is laid out: which folders are classes, which are splits.

A split holds folders of classes; a class holds pictures, perhaps in folders of its own. Names alone
decide nothing: a folder called `train` that holds pictures beside other folders of pictures is a
class, and files beside the folders of classes belong to none and change nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from autoscale.datasets.other_layouts import told
from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.splits import Name, Role, Split, is_filler, read_name, spoken, words
from autoscale.datasets.tree import Folder, require_no_lost_folder
from autoscale.errors import DataProblem

#: Lone folders within folders that are gone through, such as data/images/train.
_DEEPEST = 6
#: Words of folders of masks and the like, which may hold pictures but no classes.
_ANNOTATIONS = words("mask masks label labels annotation annotations annots gt")


@dataclass(frozen=True)
class Layout:
    """Where the classes of each split lie."""

    start: Path  # what holds the folders of the training classes; for messages
    classes: Mapping[Split, Mapping[str, Folder]]  # by name, sorted; without splits all is "train"
    named: bool  # whether the source itself names splits
    unused: tuple[str, ...] = ()  # relative to the root; folders end with /
    loose: tuple[str, ...] = ()  # files beside folders of classes, relative to the root
    notices: tuple[str, ...] = ()


@dataclass
class _Finder:
    """What is noticed on the way."""

    tree: Folder
    unused: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def relative(self, path: Path) -> str:
        return shown(path.relative_to(self.tree.path).as_posix())

    def leave(self, folders: Iterable[Folder]) -> None:
        """Note folders that are not used."""
        self.unused += [f"{self.relative(f.path)}/" for f in folders if not f.is_empty]

    def pass_by(self, folder: Folder) -> None:
        """Note the files that lie in `folder` itself, but for notes."""
        self.loose += [self.relative(folder.path / name) for name in folder.files]
        self.unused += [self.relative(folder.path / name) for name in folder.others]


def find_layout(tree: Folder) -> Layout:
    """What the folders of a tree are.

    Raises:
        DataProblem: if that cannot be told, or there is nothing to train on.
    """
    finder = _Finder(tree)
    found = _find(tree, finder, depth=0)
    for split, classes in found.classes.items():
        _require_utf8(classes, found.start if split == "train" else tree.path)
    return replace(
        found,
        unused=tuple(finder.unused),
        loose=tuple(finder.loose),
        notices=tuple(finder.notices),
    )


def _find(folder: Folder, finder: _Finder, *, depth: int) -> Layout:
    require_no_lost_folder(folder)
    if transposed := _splits_within_classes(folder.live):
        finder.pass_by(folder)
        return Layout(folder.path, transposed, named=True)
    splits = _named_splits(folder, finder)
    if splits is not None:
        return splits
    live = _without_annotations(folder, finder)
    sets = [one for one in live if _is_set_of_splits(one)]
    if len(sets) > 1:
        raise DataProblem(
            f"{len(sets)} data sets with splits of their own lie in {shown(folder.path)}: "
            f"{_list(one.name for one in sets)}; name one of them"
        )
    if sets and len(live) > 1:
        finder.leave(one for one in live if one is not sets[0])
        live = tuple(sets)
    if len(live) == 1 and live[0].live and depth < _DEEPEST:
        finder.pass_by(folder)
        finder.leave(one for one in folder.folders if not one.count)
        return _find(live[0], finder, depth=depth + 1)
    _refuse_flat_splits(folder, live, finder)
    _refuse_doubtful_splits(live)
    found = _classes_with_splits_beside(folder, live, finder)
    _tell_of_equal_folders(found.classes["train"], finder)
    return found


def _classes_with_splits_beside(
    folder: Folder, live: tuple[Folder, ...], finder: _Finder
) -> Layout:
    """Folders of classes; splits that lie among them hold the same classes again."""
    names = {one.name for one in live}
    beside: dict[Split, list[Folder]] = {}
    for one in live:
        role, inner = read_name(one.name).role, _inner(one)
        held = {sub.name for sub in inner.live}
        if role and not inner.files and len(held) > 1 and held <= names - {one.name}:
            beside.setdefault("validation" if role == "evaluation" else role, []).append(one)
    if "train" in beside:
        raise DataProblem(
            f"{shown(beside['train'][0].path)} holds classes that lie beside it too; keep the "
            "training images in one place"
        )
    inside = [one for split in beside.values() for one in split]
    own = _classes_of(folder, finder, without=inside)
    found: dict[Split, Mapping[str, Folder]] = {"train": own}
    for split, folders in beside.items():
        found[split] = _classes_of(_inner(_only(split, folders, folder)), finder)
    return Layout(folder.path, found, named=bool(beside))


# Splits


def _named_splits(folder: Folder, finder: _Finder) -> Layout | None:
    """The splits in a folder; None if its folders are something else."""
    names = {one.path: read_name(one.name) for one in folder.folders}
    train = _training(folder, names)
    if train is None and (train := _beside_its_splits(folder, names, finder)) is not None:
        names[train.path] = Name("train", ())
    if train is None:
        return _splits_without_training(folder, names, finder)
    start = _inner(train)
    known = {one.name for one in start.live}
    accepted = {
        one.path
        for one in folder.folders
        if one is not train and _goes_with(one, names[one.path], names[train.path], known)
    }
    by_role: dict[Role, list[Folder]] = {}
    for one in folder.folders:
        role = names[one.path].role
        if role and (one.path in accepted or one is train):
            by_role.setdefault(role, []).append(one)
    parts = _assigned(by_role, folder)
    used = []
    finder.pass_by(folder)
    found: dict[Split, Mapping[str, Folder]] = {}
    for split, own in parts.items():
        one = _only(split, own, folder)
        used.append(one)
        inner = start if one is train else _inner(one, known=known)
        if split != "train" and not inner.live and inner.files:
            _tell_unlabelled(one, split, finder)
            continue
        if split == "train":
            within = _classes_with_splits_beside(inner, inner.live, finder)
            if within.named:
                both = sorted(set(within.classes) & set(parts) - {"train"})
                if both:
                    raise DataProblem(
                        f"{shown(folder.path)} has two {both[0]} splits, one beside "
                        f"{shown(one.name)} and one within it; keep one"
                    )
            found |= within.classes
        else:
            found[split] = _classes_of(inner, finder, known=known)
    finder.leave(one for one in folder.folders if one not in used and one.count)
    return Layout(start.path, found, named=True)


def _training(folder: Folder, names: Mapping[Path, Name]) -> Folder | None:
    """The folder that is the training split, if there is one."""
    candidates = [one for one in folder.live if names[one.path].role == "train"]
    plain = [one for one in candidates if names[one.path].plain]
    others = [one for one in folder.live if names[one.path].role not in (None, "train")]
    strangers = [one for one in folder.live if names[one.path].role is None]
    if not plain:
        plain = [
            one
            for one in candidates
            if len(folder.live) == 1 or any(_pairs_with(one, other, names) for other in others)
        ]
    fitting = [one for one in plain if _is_training(one, others, strangers)]
    if len(fitting) > 1 and len(sets := [one for one in fitting if _inner(one).live]) == 1:
        fitting = sets
    if len(fitting) > 1:
        raise _two("train", fitting, folder)
    return fitting[0] if fitting else None


def _pairs_with(one: Folder, other: Folder, names: Mapping[Path, Name]) -> bool:
    """Whether folders that are called like splits are of one data set, by name or by classes."""
    shared = {sub.name for sub in _inner(one).live} & {sub.name for sub in _inner(other).live}
    return names[one.path].rest == names[other.path].rest or len(shared) > 1


def _beside_its_splits(
    folder: Folder, names: Mapping[Path, Name], finder: _Finder
) -> Folder | None:
    """The one folder that is called like no split, beside splits: photos/{a,b} and test/{a,b}."""
    strangers = [one for one in folder.live if names[one.path].role is None]
    if len(strangers) != 1 or any(name.role == "train" for name in names.values()):
        return None
    inner = _inner(strangers[0])
    held = {sub.name for sub in inner.live}
    splits = [one for one in folder.live if one is not strangers[0]]
    alike = [held & {sub.name for sub in _inner(one).live} for one in splits]
    if len(held) < 2 or not _has_few_files(inner) or not any(alike):
        return None
    finder.notices.append(
        f"{finder.relative(strangers[0].path)}/ is taken for the training split, as it holds the "
        f"classes of {_list(one.name for one in splits)}"
    )
    return strangers[0]


def _is_training(one: Folder, others: list[Folder], strangers: list[Folder]) -> bool:
    """Whether a folder that is called like a training split holds classes and is none itself.

    Raises:
        DataProblem: if it may be both.
    """
    inner = _inner(one)
    classes = {sub.name for sub in inner.live}
    if not classes or _is_set_of_splits(inner):
        return False
    shared = any(classes & {sub.name for sub in _inner(other).live} for other in others)
    if not strangers:
        return shared or len(classes) > 1 or not inner.files
    if len(classes) < 2 or not _has_few_files(inner):
        return False
    if shared:
        return True
    if len(strangers) > 1 and not any(_inner(other).live for other in others):
        raise _doubtful(one, classes, strangers)
    return True


def _doubtful(one: Folder, classes: Iterable[str], strangers: Iterable[Folder]) -> DataProblem:
    return DataProblem(
        f"{shown(one.path)} may be a split, with the classes {_list(sorted(classes))}, or a class "
        f"beside {_list(stranger.name for stranger in strangers)}: rename it if it is a class, or "
        "move the other folders away"
    )


def _goes_with(one: Folder, name: Name, train: Name, known: set[str]) -> bool:
    """Whether a folder is another split of a data set whose training split is known."""
    if name.role is None:
        return False
    if name.plain or name.rest == train.rest:
        return True
    return bool(known & {sub.name for sub in _inner(one, known=known).live})


def _assigned(by_role: Mapping[Role, list[Folder]], folder: Folder) -> dict[Split, list[Folder]]:
    """What is which split. `eval` is validation where nothing else is, then test."""
    parts: dict[Split, list[Folder]] = {}
    for split in ("train", "validation", "test"):
        if own := by_role.get(split):
            parts[split] = own
    if evaluation := by_role.get("evaluation"):
        free = [split for split in ("validation", "test") if split not in parts]
        if free:
            parts["validation" if "validation" in free else "test"] = evaluation
    return parts


def _only(split: Split, own: list[Folder], folder: Folder) -> Folder:
    """The one folder of a split: one that holds classes before others.

    Raises:
        DataProblem: if there are several.
    """
    labelled = [one for one in own if _inner(one).live] or [one for one in own if one.count] or own
    if len(labelled) > 1:
        raise _two(split, labelled, folder)
    return labelled[0]


def _two(split: str, own: list[Folder], folder: Folder) -> DataProblem:
    return DataProblem(
        f"{shown(folder.path)} has {len(own)} {spoken(split)} splits, "
        f"{' and '.join(shown(one.name) for one in own)}; keep one"
    )


def _splits_without_training(
    folder: Folder, names: Mapping[Path, Name], finder: _Finder
) -> Layout | None:
    """Validation or test alone, such as a folder that holds nothing but `test`."""
    if not folder.live:
        return None
    by_role: dict[Role, list[Folder]] = {}
    for one in folder.live:
        role = names[one.path].role
        if role in (None, "train") or not names[one.path].plain or not _inner(one).live:
            return None
        by_role.setdefault(role, []).append(one)
    found: dict[Split, Mapping[str, Folder]] = {}
    finder.pass_by(folder)
    for split, own in _assigned(by_role, folder).items():
        found[split] = _classes_of(_inner(_only(split, own, folder)), finder)
    return Layout(folder.path, found, named=True)


def _tell_unlabelled(one: Folder, split: Split, finder: _Finder) -> None:
    finder.leave([one])
    what = "a test accuracy" if split == "test" else "its accuracy"
    finder.notices.append(
        f"{finder.relative(one.path)}/ holds {one.count:,} pictures without folders of classes, so "
        f"it is not used; sort them into such folders to be told {what}"
    )


def _is_set_of_splits(folder: Folder) -> bool:
    """Whether a folder holds a training split beside another one, both with classes.

    It, or the lone folder in it.
    """
    for _ in range(_DEEPEST):
        if len(folder.live) != 1:
            break
        folder = folder.live[0]
    by_role: dict[Role | None, set[str]] = {}
    for one in folder.live:
        name, inner = read_name(one.name), _inner(one)
        if name.plain and _has_few_files(inner):
            by_role.setdefault(name.role, set()).update(sub.name for sub in inner.live)
    classes = by_role.pop("train", set())
    return len(classes) > 1 and any(classes & own for own in by_role.values())


def _has_few_files(folder: Folder) -> bool:
    """Whether the pictures lie in sub-folders, but for some that were left beside them."""
    return len(folder.files) <= max(1, folder.count // 10)


def _splits_within_classes(live: tuple[Folder, ...]) -> dict[Split, dict[str, Folder]]:
    """Splits below classes, as cat/train and dog/train; nothing if it is not so.

    Raises:
        DataProblem: if a class has two folders of one split, or classes may be splits.
    """
    if len(live) < 2:
        return {}
    found: dict[Split, dict[str, Folder]] = {}
    for one in live:
        by_role: dict[Role, list[Folder]] = {}
        for sub in one.live:
            name = read_name(sub.name)
            if not name.plain or sub.live or name.role is None:
                return {}
            by_role.setdefault(name.role, []).append(sub)
        if one.files or "train" not in by_role:
            return {}
        for split, own in _assigned(by_role, one).items():
            found.setdefault(split, {})[one.name] = _only(split, own, one)
    if len(found) > 1 and all(read_name(one.name).plain for one in live):
        raise DataProblem(
            f"it cannot be told whether {_list(one.name for one in live)} in "
            f"{shown(live[0].path.parent)} are splits or classes; rename the classes"
        )
    return found if len(found) > 1 else {}


def _refuse_flat_splits(folder: Folder, live: tuple[Folder, ...], finder: _Finder) -> None:
    """Refuse train/*.jpg beside test/*.jpg, which have no classes.

    Raises:
        DataProblem: if they are.
    """
    _refuse_splits_of_classes(folder, live)
    flat = [one for one in live if read_name(one.name).plain and not one.live]
    roles = {read_name(one.name).role for one in flat}
    strangers = [one for one in live if one not in flat]
    if len(roles) > 1 and ("train" in roles or not strangers) and len(strangers) < 2:
        named = " and ".join(shown(one.name) for one in flat)
        raise DataProblem(
            told(finder.tree)
            or f"{named} in {shown(folder.path)} hold pictures but no folders of classes; sort the "
            "pictures of each into one sub-folder for each class, as train/cat and train/dog (or "
            "rename them if they are classes)"
        )


def _refuse_splits_of_classes(folder: Folder, live: tuple[Folder, ...]) -> None:
    """Refuse train_cat, train_dog, test_cat, test_dog: a folder for each split of each class.

    Raises:
        DataProblem: if they are.
    """
    names = [read_name(one.name) for one in live]
    roles = {name.role for name in names}
    classes = {name.rest for name in names}
    if (
        any(one.live for one in live)
        or None in roles
        or not {"train"} < roles
        or () in classes
        or len(classes) == len(names)
    ):
        return
    word, kind = names[0].word, " ".join(names[0].rest)
    raise DataProblem(
        f"{_list(one.name for one in live)} in {shown(folder.path)} look like splits of classes; "
        f"sort them into a folder for each split with one sub-folder for each class, as "
        f"{word}/{kind} (or rename them if they are classes)"
    )


def _refuse_doubtful_splits(live: tuple[Folder, ...]) -> None:
    """Refuse test/{a,b} beside other folders of pictures, where nothing says what it is.

    Raises:
        DataProblem: if there is such a folder.
    """
    for one in live:
        inner = _inner(one)
        classes = {sub.name for sub in inner.live}
        others = [other for other in live if other is not one]
        again = classes <= {other.name for other in others}  # a split among classes
        alike = any(classes & {sub.name for sub in other.live} for other in others)
        like_a_split = read_name(one.name).plain and not inner.files and len(classes) > 1
        if like_a_split and others and not again and not alike:
            raise _doubtful(one, classes, others)


# Folders of classes


def _inner(folder: Folder, *, known: Set[str] = frozenset()) -> Folder:
    """What holds the classes of a split: it, or the lone folder in it, as in seg_train/seg_train.

    Args:
        known: classes, where they are known already; a folder called so is one.
    """
    for _ in range(_DEEPEST):
        if len(folder.live) != 1:
            break
        lone = folder.live[0]
        says_nothing = read_name(lone.name).role is not None or is_filler(lone.name)
        held = known & {sub.name for sub in lone.live}
        if len(held) > 1 or (held and not lone.files):
            pass  # whatever it is called, classes lie in it
        elif lone.name in known or not (says_nothing or len(lone.live) > 1):
            break
        folder = lone
    return folder


def _classes_of(
    folder: Folder,
    finder: _Finder,
    *,
    without: Iterable[Folder] = (),
    known: Collection[str] = (),
) -> dict[str, Folder]:
    """The folders of classes in a folder, sorted by name.

    Folders of notes alone are none; empty ones are, as somebody meant to fill them.

    Args:
        known: names that are classes; another way to write the same letters is the same name.
    """
    require_no_lost_folder(folder)
    finder.pass_by(folder)
    composed = {unicodedata.normalize("NFC", name): name for name in known}
    found: dict[str, Folder] = {}
    left = list(without)
    for one in folder.folders:
        if one in left:
            continue
        name = composed.get(unicodedata.normalize("NFC", one.name), one.name)
        if one.count or (one.is_empty and (not known or name in known)):
            found[name] = _without_masks(one, finder)
        else:
            finder.leave([one])
    return found


def _tell_of_equal_folders(classes: Mapping[str, Folder], finder: _Finder) -> None:
    """Tell of classes that all hold the same sub-folders, which may be the classes themselves."""
    held = [{sub.name for sub in one.live} for one in classes.values() if one.count]
    if len(held) < 2 or any(one.files for one in classes.values()):
        return
    common = sorted(set.intersection(*held))
    if len(common) > 1 or any(read_name(name).role for name in common):
        finder.notices.append(
            f"{_list(classes)} are taken for the classes, though each holds a folder "
            f"{' and a folder '.join(shown(name) for name in common[:2])}: if those are the "
            "classes, name one of these folders as the data, or call them train, validation and "
            "test"
        )


def _without_annotations(folder: Folder, finder: _Finder) -> tuple[Folder, ...]:
    """The live folders; of images beside masks, the images.

    Raises:
        DataProblem: if those have no classes.
    """
    images = [one for one in folder.live if is_filler(one.name)]
    others = [one for one in folder.live if one not in images]
    if len(images) != 1 or any(one.name.lower() not in _ANNOTATIONS for one in others):
        return folder.live
    if others and not images[0].live:
        raise DataProblem(
            f"{_list(one.name for one in others)} in {shown(folder.path)} look like annotations of "
            f"{shown(images[0].name)}, not like classes; sort the pictures into one sub-folder for "
            "each class, or rename these folders if they are classes"
        )
    finder.leave(others)
    return tuple(images)


def _without_masks(one: Folder, finder: _Finder) -> Folder:
    """A class, of which masks that lie beside its images are left out: cat/images, cat/masks."""
    masks = [sub for sub in one.live if sub.name.lower() in _ANNOTATIONS]
    images = [sub for sub in one.live if is_filler(sub.name)]
    if not masks or not images or one.files or len(masks) + len(images) < len(one.live):
        return one
    finder.leave(masks)
    return replace(one, folders=tuple(sub for sub in one.folders if sub not in masks))


def _require_utf8(names: Iterable[str], place: Path) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataProblem(
                f"the class folder {shown(name)!r} in {shown(place)} has a name that is not UTF-8, "
                "which no file of results can hold; rename it (convmv -f cp1252 -t utf8 -r "
                "--notest does it for a folder)"
            ) from None


def _list(names: Iterable[str]) -> str:
    told = [shown(name) for name in names]
    return ", ".join(told[:5]) + (", ..." if len(told) > 5 else "")
