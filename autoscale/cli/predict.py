"""The commands that use a trained network: `autoscale evaluate`, `calibrate` and `predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from autoscale.errors import InvalidSetting
from autoscale.models.settings import AnsweringSettings, EvaluateSettings, PredictSettings
from autoscale.settings.option import again, option

if TYPE_CHECKING:
    import pandas as pd

    from autoscale.answering.answering import Answering
    from autoscale.models.inference.calibrate import Beside, CalibratedAnswers
    from autoscale.models.inference.evaluation import Evaluation
    from autoscale.models.inference.measured import Measured, MeasuredLead


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(EvaluateSettings):
    """Which network, and what is shown of the answer."""

    command: ClassVar[str] = "evaluate"

    model: str = option(
        help="A .safetensors file (runs/phi-2/train/best.safetensors), or a network whose "
        "--weights are given.",
        argument=True,
        place=True,
    )
    pairs: int = option(5, "Worst confusions to show.", least=0)


@dataclass(frozen=True, kw_only=True)
class CalibrateCommand(AnsweringSettings):
    """Which network."""

    command: ClassVar[str] = "calibrate"

    model: str = again(EvaluateCommand, "model")


@dataclass(frozen=True, kw_only=True)
class PredictCommand(PredictSettings):
    """Which network, which images, and how the answer is shown."""

    command: ClassVar[str] = "predict"

    model: str = again(EvaluateCommand, "model", argument=False)
    images: tuple[str, ...] = option(
        (),
        "Image files, as photos/*.jpg; folders of such, with all below them; or -, for "
        "names on standard input.",
        argument=True,
        place=True,
    )
    names: str | None = option(
        None,
        "A file of names, one a line or with NUL between them (find -print0); - is standard input.",
        flag="--from",
        place=True,
    )
    csv: bool = option(False, "Print the answer as CSV.")


def evaluate_command(settings: EvaluateCommand, *, as_json: bool) -> None:
    """How good a trained network is on a data set: accuracy, by class, and what it mixes up."""
    from autoscale.cli.terminal import records, refuse, show_json
    from autoscale.models.inference.evaluation import evaluate_model

    found = evaluate_model(settings.model, settings)
    for note in found.notes:
        refuse(f"note: {note}")
    refuse(found.summary)
    for line in found.skipped:
        refuse(f"skipped {line}")
    for line in found.notices:
        refuse(f"warning: {line}")
    for line in found.against.notices if found.against else ():
        refuse(f"warning: {settings.against}: {line}")
    if not as_json:
        _show_evaluation(found, settings)
        return
    show_json(
        {
            "split": found.split,
            "which": found.which,
            "images": found.images,
            "accuracy": found.accuracy,
            **({"several": True} if found.several else {}),
            "loss": found.loss,
            "images_per_second": found.images_per_second,
            "classes": records(found.classes),
            "confusions": records(found.confusions.head(settings.pairs)),
            "against": _against_data(found, settings),
            **_metrics_data(found.metrics),
            **({"answered": found.answered.to_dict()} if found.answered else {}),
        }
    )


def _against_data(found: Evaluation, settings: EvaluateCommand) -> dict[str, object] | None:
    """The other network's answers as plain data."""
    if found.against is None:
        return None
    paired = found.against.paired
    return {
        "network": settings.against,
        "accuracy": found.against.accuracy,
        "both_right": paired.both,
        "first_alone": paired.own,
        "other_alone": paired.other,
        "lead": paired.lead,
        "interval": list(paired.interval),
        "standing": paired.standing,
        **_metrics_data(found.against.metrics),
    }


def _metrics_data(metrics: Sequence[Measured | MeasuredLead]) -> dict[str, object]:
    """The metrics that were asked for, as plain data; nothing if none was."""
    return {"metrics": [one.to_dict() for one in metrics]} if metrics else {}


def _show_evaluation(found: Evaluation, settings: EvaluateCommand) -> None:
    from autoscale.cli.terminal import say, show_table

    show_table(
        found.classes,
        title="By label" if found.several else "By class",
        columns=tuple(found.classes.columns),
    )
    worst = found.confusions.head(settings.pairs)
    if len(worst):
        show_table(worst, title="Most often mixed up", columns=tuple(worst.columns))
    called = "Exact match" if found.several else "Accuracy"
    say(
        f"{called} {found.accuracy:.4f}, loss {found.loss:.4f}; "
        f"{found.images_per_second:,.0f} images a second"
    )
    for one in found.metrics:
        say(one.sentence)
    if found.answered is not None:
        rows = [{"figure": name, "value": told} for name, told in found.answered.figures.items()]
        show_table(rows, title="By its file's answers", columns=("figure", "value"))
        say(_way(found.answered.answering))
    say(found.which)
    if found.against is not None:
        say(f"{settings.against}: {called.lower()} {found.against.accuracy:.4f}")
        say(found.against.paired.sentence("this network", "the other"))
        for lead in found.against.metrics:
            say(lead.sentence("this network", "the other"))
    if found.several:
        say(
            "predicted: of how many images the label is said, at its threshold. Exact match: share "
            "of images of which all labels are right"
        )
        return
    say("predicted: how often the class was answered. share: of the class's own images")


def _way(answering: Answering) -> str:
    """How its file says that a network answers."""
    steps = " ".join(answering.steps)
    return f"{steps} Chosen on {answering.chosen_on}." if answering.chosen_on else steps


def calibrate_command(settings: CalibrateCommand, *, as_json: bool) -> None:
    """Calibrate a network's probabilities, and choose when it says 'none of these'.

    Validation images decide. The temperature by which logits are divided is the one of least log
    loss. With --reject the answer is "none of these" where the largest probability is below a
    threshold: of the validation images that are answered right, that share lies below it. Written
    are the same weights with this in their header; predict, evaluate and export go by it. Figures
    come before and after, those on test images too if there are such.
    """
    from autoscale.cli.terminal import refuse, show_json
    from autoscale.models.inference.calibrate import calibrate

    found = calibrate(settings.model, settings)
    refuse(found.summary)
    for line in found.skipped:
        refuse(f"skipped {line}")
    for line in found.notices:
        refuse(f"note: {line}")
    if as_json:
        show_json(found.to_dict())
    else:
        _show_calibrated(found)


def _show_calibrated(found: CalibratedAnswers) -> None:
    from autoscale.cli.terminal import explain, say, show_table

    parts = [one for one in (found.validation, found.test) if one is not None]
    for one in parts:
        show_table(_before_and_after(one), title=one.which, columns=("figure", "before", "after"))
    explain(
        "in brackets 95 % intervals over images; calibration error: expected, of 15 bins; right "
        "ones refused: share of the images that would be answered right"
    )
    low, high = found.temperature.interval
    if found.temperature.told:
        say(f"Temperature {found.temperature.value:.4f}, 95 % interval {low:.4f} to {high:.4f}")
    if found.answering.none_below is not None:
        say(f"'none of these' where no probability reaches {found.answering.none_below:.4f}")
    if found.unknown is not None:
        say(f"Of {found.unknown.of:,} unknown pictures, share refused {found.unknown}")
    say(f"The same weights, and how they answer -> {found.path}")


def _before_and_after(beside: Beside) -> list[dict[str, str]]:
    before, after = beside.before.figures, beside.after.figures
    return [{"figure": name, "before": before[name], "after": after[name]} for name in after]


def predict_command(settings: PredictCommand, *, as_json: bool) -> int:
    """What a trained network sees in images: classes with probabilities.

    An image that cannot be read is named on standard error, the others are answered, and the exit
    status is 1. CSV is printed as it comes, some hundred images at a time.
    """
    from autoscale.cli.terminal import Live, refuse
    from autoscale.models.inference.predict import predict_in_parts
    from autoscale.models.load import load_model

    if settings.csv and as_json:
        raise InvalidSetting("give either --csv or --json, not both")
    network = load_model(settings.model, settings)
    with Live() as listener:
        parts = predict_in_parts(network, _asked(settings), settings, listener=listener)
        found: list[pd.DataFrame] = []
        refused: list[str] = []
        for number, part in enumerate(parts):
            if number == 0:
                for note in network.notes:
                    refuse(f"autoscale: note: {note}")
            for line in part.refused:
                refuse(f"autoscale: {line}")
            for line in part.notices:
                refuse(f"autoscale: warning: {line}")
            refused += part.refused
            if settings.csv:
                sys.stdout.write(part.table.to_csv(index=False, header=number == 0))
                sys.stdout.flush()
            else:
                found.append(part.table)
    if not settings.csv:
        _show_predictions(found, refused, as_json, network.header.answering)
    return 1 if refused else 0


def _asked(settings: PredictCommand) -> list[str]:
    """The names of the images, those of lists among them.

    Raises:
        InvalidSetting: if a list cannot be read, or nothing is where the images were named.
    """
    from autoscale.models.inference.predict import names_in, require_any

    names = settings.names
    if names == "-" and "-" in settings.images:
        raise InvalidSetting("standard input is asked for twice; leave - or --from - out")
    found = [
        name
        for image in settings.images
        for name in (names_in(sys.stdin.buffer.read()) if image == "-" else [image])
    ]
    if names == "-":
        found += names_in(sys.stdin.buffer.read())
    elif names is not None:
        try:
            found += names_in(Path(names).read_bytes())
        except OSError as problem:
            raise InvalidSetting(
                f"cannot read the list {names}: {problem.strerror}; name a file of names"
            ) from None
    if not found:
        raise InvalidSetting("no image is named; name files or folders, or give --from a list")
    if names is None:
        require_any(found)
    return found


def _show_predictions(
    parts: list[pd.DataFrame], refused: list[str], as_json: bool, answering: Answering | None
) -> None:
    import pandas as pd

    from autoscale.cli.terminal import records, say, show_json, show_table

    table = pd.concat(parts, ignore_index=True)
    if as_json:
        show_json({"predictions": records(table), "refused": refused})
    elif len(table):
        if table.isna().any(axis=None):
            table = table.astype(object).where(table.notna(), None)
        show_table(table, title="Predictions", columns=tuple(table.columns))
        if answering is None:
            say("probability: softmax of the logits; not how often the network is right")
        elif answering.several:
            say("probability: sigmoid of the label's logit; not how often the network is right")
        else:
            say(_way(answering))
