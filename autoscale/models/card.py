"""A model card: what a network is, what it wants, what is known of it."""

import html
from collections.abc import Sequence
from importlib.metadata import version

from autoscale.design.amounts import several
from autoscale.design.cost import Cost
from autoscale.design.timm_blocks import timm_definition
from autoscale.devices.timing.latency import Latency
from autoscale.distribution import VERSION
from autoscale.errors import InvalidArchitecture
from autoscale.models.input_spec import (
    ANSWERING,
    LABELS,
    PREPARATION,
    preparation_steps,
    writable,
)
from autoscale.models.load import Model, changed_since_measured
from autoscale.models.reference import ANSWER, picture_name

#: Class names that are printed; the others stand in `LABELS`.
MOST_CLASSES = 100
#: In place of a format, of a file that holds no network.
BESIDE = "-"


#: Of a file: name, format, bytes, SHA-256, largest difference of a logit from torch's, and share of
#: validation images with torch's first answer.
Row = tuple[str, str, int, str, float | None, float | None]


def model_card(
    model: Model,
    *,
    cost: Cost | None,
    files: Sequence[Row],
    latency: Latency | None,
    num_classes: int,
    notes: Sequence[str] = (),
) -> str:
    """Markdown; whatever a user named is shown as text.

    Args:
        cost: of one image; None if it cannot be counted.
        files: what is told of each.
        notes: what a person should know, in sentences.
    """
    parts = [
        f"# {_text(model.name)}",
        "\n".join(f"**Note:** {_text(note)}." for note in notes),
        "## Input",
        _input(model),
        "## Output",
        f"{num_classes:,} logits for each image. {_classes(model)} {_answers(model)}",
        "## Check",
        _check(model.preparation.channels),
        "## Size",
        _size(cost),
        "## Accuracy",
        _accuracy(model),
        "## Latency",
        _latency(latency),
        "## Files",
        _files(files),
        "## Provenance",
        _provenance(model),
        _design(model),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _input(model: Model) -> str:
    (height, width), channels = model.image_size, model.preparation.channels
    kind = {1: "Grey images", 3: "RGB images"}.get(channels, f"Images of {channels} bands")
    steps = "\n".join(
        f"{number}. {_text(step)}"
        for number, step in enumerate(preparation_steps(model.preparation, height), start=1)
    )
    return (
        f"{kind}, float32, (N, {channels}, {height}, {width}), any N. A picture becomes one "
        "in these steps; left out or done in another way, they change answers. "
        f"`{PREPARATION}` says the same to programs, and `prepare` of `network.py`, "
        "where that is exported, does it. Scripts called `use_....py` beside a format's file go "
        f"from a picture to the name of its class without autoscale.\n\n{steps}"
    )


def _check(channels: int) -> str:
    return (
        f"Prepare `{picture_name(channels)}` by the steps above and pass it through the network: "
        f"the logits are those in `{ANSWER}`, up to rounding. If they are not, compare what the "
        "network got with `prepared` there: mean and deviation of each channel, and the pixels "
        "at the top left and in the middle (row H / 2 and column W / 2, counted from 0). "
        "`pixels.sha256` is of the bytes, row by row and channels last, before they are divided by "
        "255, as Pillow makes them."
    )


def _classes(model: Model) -> str:
    names = model.header.classes
    if not names:
        return "The weights do not name the classes."
    shown = ", ".join(f"{number} {_text(name)}" for number, name in enumerate(names[:MOST_CLASSES]))
    more = f", and {len(names) - MOST_CLASSES:,} more" if len(names) > MOST_CLASSES else ""
    return (
        f"Classes: {shown}{more}. `{LABELS}` names them all, one a line, the first for logit "
        "0; an ONNX file holds them as metadata, a .pt2 file as extra file."
    )


def _answers(model: Model) -> str:
    """How logits become an answer."""
    answering = model.header.answering
    if answering is None:
        return "Their softmax gives probabilities."
    chosen = f" Chosen on {_text(answering.chosen_on)}." if answering.chosen_on else ""
    return f"{_text(' '.join(answering.steps))}{chosen} `{ANSWERING}` says the same to programs."


def _accuracy(model: Model) -> str:
    header = model.header
    if header.accuracy is None:
        return "Not known."
    known = f"{header.accuracy:.4f} of {_text(header.accuracy_of or 'unnamed images')}"
    if change := changed_since_measured(model):
        return f"Not known as exported. {known} was measured {change}."
    decided = ""
    if header.metric is not None and header.score is not None:
        decided = f" They were chosen by {_text(header.metric)}, {header.score:.4f} on these."
    return f"{known}.{decided}"


def _provenance(model: Model) -> str:
    header = model.header
    parts = [_text(header.provenance or "Not said by the weights")]
    if header.origin is not None or header.licence is not None:
        began = "They began with" if header.provenance else "They are"
        parts.append(f"{began} {_text(header.origin or 'published weights')}")
        licence = _text(header.licence or "not said by the files that came with them")
        parts.append(f"Licence of those: {licence}")
    parts.append(f"Written by autoscale {VERSION} with torch {version('torch')}")
    return " ".join(f"{part}." for part in parts)


def _size(cost: Cost | None) -> str:
    if cost is None:
        return "Not counted: it runs operations whose cost autoscale does not know."
    return (
        f"| | one image |\n| --- | --- |\n| multiply-adds | {cost.macs:,} |\n"
        f"| parameters | {cost.params:,} |\n| activations | {cost.activations:,} |\n\n"
        "Multiply-adds are those of convolutions and linear layers (the papers' FLOPs), "
        "activations their outputs."
    )


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "Not measured; `autoscale latency` measures it, or `autoscale export --measure`."
    threads = several(latency.threads, "thread")
    return (
        f"{latency.median_ms:.4g} ms (median; 10th to 90th percentile {latency.low_ms:.4g} to "
        f"{latency.high_ms:.4g}) for a batch of {latency.batch}, {threads}, "
        f"{latency.dtype}, {latency.runtime} ({latency.version}), {latency.memory_format}, on "
        f"{_text(latency.hardware)}; {latency.repeats} passes after {latency.warm_up} untimed ones."
    )


def _files(files: Sequence[Row]) -> str:
    rows = [
        "| file | format | bytes | SHA-256 | logits differ from torch's by |",
        "| --- " * 5 + "|",
    ]
    for name, kind, size, digest, difference, agreement in files:
        missing = "-" if kind == BESIDE else "not run"
        differs = missing if difference is None else f"{difference:.2g}"
        if agreement is not None:
            differs += f"; the first answer is the same for {100 * agreement:.1f} % of images"
        rows.append(f"| {name} | {kind} | {size:,} | `{digest}` | {differs} |")
    return "\n".join(rows)


def _design(model: Model) -> str:
    if model.architecture is None:
        return ""
    style = f"Padding: {model.style.padding}. Epsilon of batch norm: {model.style.norm_eps:g}."
    try:
        strings = "\n".join(timm_definition(model.architecture).blocks)
        timm = f"In timm's notation:\n\n```text\n{strings}\n```"
    except InvalidArchitecture as problem:
        timm = f"No timm notation: {_text(str(problem))}."
    design = f"```yaml\n{model.architecture.to_yaml()}```"
    return f"## Design\n\n{style}\n\n{design}\n\n{timm}"


def _text(text: str) -> str:
    """Text that is neither HTML nor Markdown."""
    escaped = html.escape(writable(" ".join(text.split())), quote=False)
    for mark in "\\`*_[]|#~":
        escaped = escaped.replace(mark, f"\\{mark}" if mark != "#" else "&#35;")
    return escaped
