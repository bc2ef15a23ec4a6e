"""How a network's logits become an answer, chosen on validation images and kept in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.answering.answering import Answering
from autoscale.answering.temperature import LEAST_IMAGES, Temperature, fit_temperature
from autoscale.answering.threshold import images_needed, refusing_at_least, refusing_at_most
from autoscale.datasets.data import classes_in, several_in
from autoscale.datasets.named import Unlabelled
from autoscale.datasets.pictures.pictures import shown
from autoscale.errors import InvalidSetting
from autoscale.metrics.predictions import Predictions
from autoscale.models.formats.weights import header_of
from autoscale.models.inference.answered import Answered, Share, answered, largest_probabilities
from autoscale.models.inference.images import Chosen, class_places, validation_and_test
from autoscale.models.inference.passes import class_names, logits_of, require_weights
from autoscale.models.load import Model, as_model
from autoscale.models.settings import AnsweringSettings
from autoscale.runs.store import require_folder
from autoscale.runs.weights import is_safetensors, read_weights, write_weights
from autoscale.settings.function import takes_settings


@dataclass(frozen=True, kw_only=True)
class Beside:
    """How a network does on some images by the softmax of its logits, and as was chosen."""

    which: str  # a sentence: how many images, and which
    images: int
    before: Answered
    after: Answered


@dataclass(frozen=True, kw_only=True)
class CalibratedAnswers:
    """What `calibrate` chose and wrote."""

    path: Path  # of the weights with the way of answering in their header
    answering: Answering
    temperature: Temperature
    validation: Beside  # the images on which it was chosen
    test: Beside | None  # images that decided nothing; None if there are none
    unknown: Share | None  # refused pictures of none of the classes; None if none were given
    skipped: tuple[str, ...]  # unreadable files, one line each
    summary: str  # what was understood of the data set, a sentence
    notices: tuple[str, ...]  # what a person should know, in sentences

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        parts = {
            name: None if one is None else {
                "which": one.which,
                "images": one.images,
                "before": one.before.to_dict(),
                "after": one.after.to_dict(),
            }
            for name, one in (("validation", self.validation), ("test", self.test))
        }  # fmt: skip
        return {
            "path": str(self.path),
            "answering": self.answering.to_dict(),
            "temperature_interval": list(self.temperature.interval),
            **parts,
            "unknown_refused": None if self.unknown is None else self.unknown.to_dict(),
            "notices": list(self.notices),
        }


@takes_settings(AnsweringSettings, places=["model", "data"])
def calibrate(model: Model | str | Path, settings: AnsweringSettings) -> CalibratedAnswers:
    """Choose on validation images how a network's logits become an answer, and write it down.

    The temperature by which logits are divided is the one of least log loss. With `reject` the
    answer is "none of these" where the largest probability is below a threshold: of the validation
    images that are answered right, n, the share n * reject cut to whole lies below it. With
    `reject_unknown` the threshold is the smallest that refuses this share of the unknown pictures.

    What is written is the same weights with this in their header, by which `predict`, `evaluate`
    and `export` then answer. No weight is changed.

    Args:
        model: what `load_model` gave, or a name or file that it takes.
        settings: those of `load_model` are for a name.

    Raises:
        InvalidSetting: if there is no such network, it has no weights or does not name its classes,
            these are not those of the data, there are too few images to choose on, it answers with
            numbers that are not finite or no better than chance, or the file to write is a folder
            or, without `in_place`, the weights themselves.
        DataProblem: if the images cannot be read.
        StorageProblem: if the file cannot be written.
    """
    source = _source(model, settings)
    model = as_model(model, settings)
    path = _output(source, settings)
    require_weights(model)
    _require_single(model, settings.data)
    places = _require_classes(model, settings.data)
    unknown = None if settings.unknown is None else Unlabelled(settings.unknown)
    _require_unknown(unknown, settings)
    validation, test = validation_and_test(model, settings.data, seed=settings.seed)
    _require_images(len(validation.images), LEAST_IMAGES, "validation images", "a temperature")
    own = _predictions(model, validation, places, settings)
    temperature = fit_temperature(own)
    scaled = Answering(temperature=temperature.value, chosen_on=validation.which)
    strangers = None if unknown is None else _unknown(model, unknown, scaled, settings)
    answering = replace(scaled, none_below=_threshold(own, scaled, strangers, settings))
    found = CalibratedAnswers(
        path=path,
        answering=answering,
        temperature=temperature,
        validation=_beside(validation, own, answering),
        test=None
        if test is None
        else _beside(test, _predictions(model, test, places, settings), answering),
        unknown=None if strangers is None else _refused(strangers.largest, answering),
        skipped=(*validation.skipped, *(strangers.skipped if strangers else ())),
        summary=validation.summary,
        notices=(
            *model.notes,
            *dict.fromkeys([*validation.notices, *(test.notices if test else ())]),
            *_told(temperature, answering, settings),
            *_written_anew(path, settings),
        ),
    )
    _write(path, source, model, answering)
    return found


def _written_anew(path: Path, settings: AnsweringSettings) -> tuple[str, ...]:
    if settings.in_place or not path.exists():
        return ()
    return (f"{path} was there and is written anew",)


def _require_single(model: Model, data: str) -> None:
    """
    Raises:
        InvalidSetting: if images may have several labels, each of which has a threshold of its own.
    """
    answering = model.header.answering
    if several_in(data) or (answering is not None and answering.several):
        raise InvalidSetting(
            "calibrate is of images with one label each; where they may have several, train "
            "chooses a threshold of each label"
        )


def _write(path: Path, source: Path | None, model: Model, answering: Answering) -> None:
    """The weights as they are, with the way of answering in their header."""
    now = header_of(model)
    header = replace(
        model.header,  # what says how it was trained stays, so that images are cut as then
        architecture=now.architecture,
        style=now.style,
        preparation=now.preparation,
        accuracy=now.accuracy,
        accuracy_of=now.accuracy_of,
        metric=now.metric,
        score=now.score,
        answering=answering,
    )
    own = source is not None and is_safetensors(source)
    state = read_weights(source).state if own and source else model.network.state_dict()
    write_weights(path, state, header)


def _source(model: Model | str | Path, settings: AnsweringSettings) -> Path | None:
    """The file of weights that the network has, as it is named; None of a network in memory."""
    if isinstance(model, Model):
        return None
    return Path(model if settings.weights is None else settings.weights)


def _output(source: Path | None, settings: AnsweringSettings) -> Path:
    """The file to write, refused before there is anything to write into it.

    Raises:
        InvalidSetting: if it is not said and cannot be guessed, is a folder, or the weights.
    """
    ours = source if source is not None and source.is_file() and is_safetensors(source) else None
    if settings.in_place:
        if ours is None:
            raise InvalidSetting(
                f"{source or 'a network in memory'} is no .safetensors file that could be written "
                "in place; give --output FILE"
            )
        return ours
    output = settings.output
    if output is None:
        if ours is None:
            raise InvalidSetting(
                f"where to write? {source or 'a network in memory'} is no .safetensors file that "
                "another could lie beside; give --output FILE"
            )
        output = ours.with_name(f"{ours.stem.removesuffix('-calibrated')}-calibrated.safetensors")
    if output.is_dir():
        raise InvalidSetting(
            f"{output} is a folder; name a file in it, such as calibrated.safetensors"
        )
    if source is not None and output.resolve() == source.resolve():
        raise InvalidSetting(
            f"{output} is the file of the weights themselves; give --in-place to write into it, or "
            "another --output"
        )
    require_folder(output.parent)
    return output


def _require_classes(model: Model, data: str) -> NDArray[np.int64]:
    """Which logit each class of the data is.

    Raises:
        InvalidSetting: if the network does not name its classes, or the data has others.
    """
    if model.header.classes is None:
        raise InvalidSetting(
            f"{model.name} does not name its classes, so that no answer has a meaning; take "
            "weights that `autoscale train` wrote"
        )
    known = classes_in(data)
    places = class_places(model, known, data)
    if lacking := [name for name in model.header.classes if name not in known]:
        raise InvalidSetting(
            f"{shown(data)} has no class {lacking[0]!r}, which {model.name} tells apart; "
            "name data with images of all its classes"
        )
    return places


def _require_images(held: int, needed: int, of: str, purpose: str) -> None:
    if held < needed:
        raise InvalidSetting(
            f"{held:,} {of} are too few for {purpose}, which needs {needed:,}: from fewer it "
            "is mostly chance; add images"
        )


def _require_unknown(unknown: Unlabelled | None, settings: AnsweringSettings) -> None:
    share = settings.reject_unknown
    if unknown is not None and share is not None:
        needed = images_needed(min(share, 1 - share))
        purpose = f"a threshold that refuses {share:g} of them"
        _require_images(len(unknown), needed, "unknown pictures", purpose)


def _predictions(
    model: Model, chosen: Chosen, places: NDArray[np.int64], settings: AnsweringSettings
) -> Predictions:
    logits, _ = logits_of(model, chosen.images.pixels, settings)
    class_names(model, None, logits.shape[1])  # refuses another number of them
    return Predictions(places[chosen.images.labels], logits.numpy())


class _Strangers(NamedTuple):
    """Pictures of none of the classes."""

    largest: NDArray[np.float64]  # of each the largest probability
    skipped: tuple[str, ...]


def _unknown(
    model: Model, unknown: Unlabelled, scaled: Answering, settings: AnsweringSettings
) -> _Strangers:
    found = unknown.load(size=model.resolution, preparation=model.preparation)
    logits, _ = logits_of(model, found.pixels, settings)
    skipped = tuple(f"{why}" for why in found.unread.values())
    return _Strangers(largest_probabilities(scaled.scaled(logits.numpy())), skipped)


def _threshold(
    own: Predictions, scaled: Answering, strangers: _Strangers | None, settings: AnsweringSettings
) -> float | None:
    """
    Raises:
        InvalidSetting: if too few validation images are answered right.
    """
    if settings.reject_unknown is not None and strangers is not None:
        return refusing_at_least(strangers.largest, settings.reject_unknown)
    if settings.reject is None:
        return None
    largest = largest_probabilities(scaled.scaled(own.logits))[own.right]
    _require_images(
        len(largest),
        images_needed(settings.reject),
        "validation images that are answered right",
        f"a threshold that refuses {settings.reject:g} of them",
    )
    return refusing_at_most(largest, settings.reject)


def _beside(chosen: Chosen, own: Predictions, answering: Answering) -> Beside:
    return Beside(
        which=chosen.which,
        images=len(own),
        before=answered(own, Answering()),
        after=answered(own, answering),
    )


def _refused(largest: NDArray[np.float64], answering: Answering) -> Share:
    return Share(count=int(answering.refuses(largest).sum()), of=len(largest))


def _told(
    temperature: Temperature, answering: Answering, settings: AnsweringSettings
) -> Sequence[str]:
    """What a person should know of the figures."""
    told = [
        "the training chose its epoch on the validation images too, so that figures on them "
        "flatter; those on test images do not"
    ]
    if not temperature.told:
        told.append(
            "every validation image is answered right, which tells no temperature: it stays 1; add "
            "images that are harder"
        )
    if settings.unknown is not None and answering.none_below is None:
        told.append(
            "no threshold was asked for, so none of the unknown pictures is refused; "
            "give --reject or --reject-unknown"
        )
    if settings.reject_unknown is not None:
        told.append("the unknown pictures chose the threshold, so the share of them flatters")
    return told
