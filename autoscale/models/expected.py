"""What a network's weights expect of the network and of its pictures: known, given, or said."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autoscale.aspect import SQUARE, written
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.errors import InvalidSetting
from autoscale.models.input_spec import writable
from autoscale.models.settings import PreparationSettings
from autoscale.network.naming import naming_of
from autoscale.network.weights import STYLES, Style, class_rows
from autoscale.runs.sources.find import provenance_of
from autoscale.runs.sources.releases import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    Release,
    release_beside,
    release_named,
)
from autoscale.runs.weights import Weights, file_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What weights expect, and what their logits are called."""

    style: Style
    preparation: Preparation
    classes: tuple[str, ...] | None = None  # what UTF-8 cannot write is escaped
    origin: str | None = None  # the published weights that these are, or began with
    licence: str | None = None  # of those, as whoever gives them says
    notes: tuple[str, ...] = ()  # what a person should know, in sentences


def expected_by(
    held: Weights | None,
    file: str | None,
    *,
    network: str,
    asked: PreparationSettings,
    designed: bool = True,
) -> Expected:
    """What the weights of `file` expect.

    What is asked goes before what the file's header says; of another library's weights, what its
    files beside them say goes before what their names tell. Where nobody says what pixels
    they expect, ImageNet's are taken, and a note says so.

    Args:
        held: what the file holds; None if there is no file.
        network: as the user named it.
        designed: that is a design; a module of the user's has no style.

    Raises:
        InvalidSetting: if timm's names come without a style, or only one of mean and deviation is
            known.
    """
    if held is None or file is None:
        return Expected(style=STYLES[asked.style or "autoscale"], preparation=asked.over(OURS))
    release = _release(held, Path(file), network=network, asked=asked)
    style = _style(held, file, release, asked=asked) if designed else STYLES["autoscale"]
    preparation, notes = _preparation(held, file, release, asked=asked)
    classes = held.header.classes
    count = class_rows(held.state)
    if classes is None and release and release.classes and len(release.classes) == count:
        classes = release.classes
    if classes is not None and count is not None and len(classes) != count:
        raise InvalidSetting(
            f"{file} names {len(classes)} classes and tells {count} apart; write the file again"
        )
    if held.header.style not in (None, style):
        notes.append(
            f"the network is built as asked, {_style_words(style)}, and not as {file} says, "
            f"{_style_words(held.header.style)}"
        )
    if twice := [name for name, count in Counter(classes or ()).items() if count > 1]:
        notes.append(
            f"several logits have the same name ({_some(twice)}): of data by that name the first "
            "is taken"
        )
    origin, licence, told = _provenance(held, Path(file))
    return Expected(
        style=style,
        preparation=preparation,
        classes=tuple(map(writable, classes)) if classes is not None else None,
        origin=origin,
        licence=licence,
        notes=(*held.notes, *notes, *told),
    )


def _provenance(held: Weights, file: Path) -> tuple[str | None, str | None, list[str]]:
    """Origin and licence of published weights, and a sentence where the file does not say them."""
    if held.header.origin is not None or held.header.licence is not None:
        return held.header.origin, held.header.licence, []
    found = provenance_of(file)
    if found is None:
        known = naming_of(held.state) is not None and file.is_file()
        return f"{file.name} (SHA-256 {file_digest(file)}...)" if known else None, None, []
    terms = found.licence or "not said by the files beside them"
    return found.origin, found.licence, [f"the weights are {found.origin}; licence: {terms}"]


def _release(
    held: Weights, file: Path, *, network: str, asked: PreparationSettings
) -> Release | None:
    naming = naming_of(held.state)
    if naming is None or held.header.preparation is not None:
        return None
    said = STYLES[asked.style] if asked.style else held.header.style
    return release_beside(file) or release_named(
        file, owner=naming.owner, network=network, style=said
    )


def _style(
    held: Weights, file: str, release: Release | None, *, asked: PreparationSettings
) -> Style:
    if asked.style is not None:
        return STYLES[asked.style]
    if held.header.style is not None:
        return held.header.style
    naming = naming_of(held.state)
    if naming is None:
        return STYLES["autoscale"]
    found = (release.style if release else None) or naming.style(held.state)
    if found is None:
        raise InvalidSetting(
            f"{file} has {naming.owner} names and does not say what the weights expect; add "
            "--style tf (timm's tf_efficientnet...: same padding, epsilon 1e-3) or --style timm "
            "(the others)"
        )
    return found


def _preparation(
    held: Weights, file: str, release: Release | None, *, asked: PreparationSettings
) -> tuple[Preparation, list[str]]:
    known = held.header.preparation
    naming = naming_of(held.state)
    if known is None and naming is None:
        found = asked.over(OURS)
        ours = "stem.0.weight" in held.state or (asked.mean and asked.deviation)
        return found, [] if ours else [
            f"{file} does not say what pixels its weights expect; they are prepared as autoscale's "
            f"own networks want, {_words(found)}: if theirs are others, give --mean and --deviation"
        ]
    if known is not None:
        found = asked.over(known)
        return found, [] if found == known else [
            f"pictures are prepared as asked, {_words(found, beside=known)}, and not as {file} "
            f"says, {_words(known, beside=found)}"
        ]
    if release is not None and release.mean and release.deviation:
        base = Preparation(mean=release.mean, deviation=release.deviation)
        base = replace(
            base,
            interpolation=release.interpolation or base.interpolation,
            white_level=release.white_level or base.white_level,
            area=release.area,
        )
        return asked.over(base), _notes(release, asked.over(base))
    if asked.mean and asked.deviation:
        return asked.over(OURS), []
    if asked.style == "autoscale":
        found = asked.over(OURS)
        return found, [f"pictures are prepared as those of autoscale's networks: {_words(found)}"]
    if asked.mean or asked.deviation:
        raise InvalidSetting(
            f"{file} does not say what pixels its weights expect; give both --mean and --deviation"
        )
    base = Preparation(mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION)
    found = asked.over(base)
    return found, [
        f"{file} does not say what pixels its weights expect; ImageNet's are taken, "
        f"{_words(found)}: if theirs are others, give --mean, --deviation and --interpolation "
        "(timm's AdvProp, Lite and most tf_efficientnetv2 weights expect 0.5 and 0.5)"
    ]


def _notes(release: Release, found: Preparation) -> list[str]:
    size = f", for {release.resolution} pixels" if release.resolution else ""
    notes = [f"pictures are prepared as {release.source} says: {_words(found)}{size}"]
    return notes + [f"{release.source} {difference}" for difference in release.differences]


def _style_words(style: Style) -> str:
    return f"{style.padding} padding and epsilon {style.norm_eps:g}"


def _words(preparation: Preparation, *, beside: Preparation = OURS) -> str:
    """What pixels are expected; area and aspect where they are not usual, or not as of `beside`."""
    mean, deviation = (
        ", ".join(f"{value:g}" for value in values)
        for values in (preparation.mean, preparation.deviation)
    )
    usual = {preparation.area, beside.area} == {OURS.area}
    area = "" if usual else f", {preparation.area}"
    squares = {preparation.aspect, beside.aspect} == {SQUARE}
    shape = "" if squares else f", aspect {written(preparation.aspect)}"
    return f"mean {mean}, deviation {deviation}, {preparation.interpolation} resizing{area}{shape}"


def rows_kept(
    held: Sequence[str] | None, count: int | None, classes: Sequence[str]
) -> tuple[tuple[int | None, ...] | None, str | None]:
    """Which rows of a classifier go on for a data set's classes, and a sentence about it.

    Args:
        held: what the weights call their classes; None if they do not.
        count: how many they tell apart; None if they have no classifier.
        classes: of the data, in order.

    Returns:
        For each class the row that it keeps, None for a fresh one; None instead of all where the
        classifier is to be taken as it is, or started anew for its number of classes. The sentence
        is None where there is nothing to say.
    """
    if count is None:
        return (None,) * len(classes), "the weights have no classifier; it is new and is trained"
    if held is None:
        if count != len(classes):
            return None, None  # `load_weights` says so
        return None, (
            f"the weights do not name their {count:,} classes: their classifier goes on in the "
            f"data's order, {_some(classes)}"
        )
    places = {name: row for row, name in reversed([*enumerate(held)])}  # the first of a name
    rows = tuple(places.get(name) for name in classes)
    kept = [name for name in classes if name in places]
    if tuple(held) == tuple(classes):
        return None, None
    if not kept:
        return rows, (
            f"the weights know other classes ({_some(held)}); the classifier is new and must be "
            "trained"
        )
    new = [name for name in classes if name not in places]
    gone = [name for name in held if name not in classes]
    parts = [f"{_some(kept)} keep{'s' if len(kept) == 1 else ''} what the classifier knows of them"]
    parts += [f"new and to be trained: {_some(new)}"] if new else []
    parts += [f"no longer told apart: {_some(gone)}"] if gone else []
    return rows, "the weights know other classes: " + "; ".join(parts)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
