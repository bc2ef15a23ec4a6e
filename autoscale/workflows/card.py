"""A model card: what a network is, what it wants, what is known of it."""

import html
from collections.abc import Sequence
from importlib.metadata import version

from autoscale.design.cost import Cost
from autoscale.design.timm_blocks import timm_definition
from autoscale.distribution import VERSION
from autoscale.errors import InvalidArchitecture
from autoscale.network.latency import Latency
from autoscale.workflows.models import Model

#: Class names that are printed; the others are only counted.
MOST_CLASSES = 100


def model_card(
    model: Model,
    *,
    cost: Cost | None,
    files: Sequence[tuple[str, str, int, str, float | None]],
    latency: Latency | None,
    num_classes: int,
) -> str:
    """Markdown; whatever a user named is shown as text.

    Args:
        cost: of one image; None if it cannot be counted.
        files: name, format, bytes, SHA-256, and largest difference of a logit from torch's.
    """
    header, preparation = model.header, model.preparation
    if header.accuracy is None:
        accuracy = "Not known."
    else:
        accuracy = f"{header.accuracy:.4f} of {_text(header.accuracy_of or 'unnamed images')}."
    parts = [
        f"# {_text(model.name)}",
        "\n".join(f"**Note:** {_text(note)}." for note in model.notes),
        "## Input",
        f"RGB images, float32, (N, 3, {model.resolution}, {model.resolution}), any N. Pixels in "
        f"0..1, minus mean {_row(preparation.mean)}, divided by {_row(preparation.deviation)} "
        "(red, green, blue); resized with antialiasing.",
        "## Output",
        f"{num_classes:,} logits for each image. {_classes(model)}",
        "## Size",
        _size(cost),
        "## Accuracy",
        accuracy,
        "## Latency",
        _latency(latency),
        "## Files",
        _files(files),
        "## Provenance",
        f"{_text(header.provenance or 'Not said by the weights')}. Written by autoscale "
        f"{VERSION} with torch {version('torch')}.",
        _design(model),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _classes(model: Model) -> str:
    names = model.header.classes
    if not names:
        return "The weights do not name the classes."
    shown = ", ".join(f"{number} {_text(name)}" for number, name in enumerate(names[:MOST_CLASSES]))
    more = f", and {len(names) - MOST_CLASSES:,} more" if len(names) > MOST_CLASSES else ""
    return f"Classes: {shown}{more}."


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
    return (
        f"{latency.median_ms:.4g} ms (median; 10th to 90th percentile {latency.low_ms:.4g} to "
        f"{latency.high_ms:.4g}) for a batch of {latency.batch}, {latency.threads} thread(s), "
        f"{latency.dtype}, {latency.runtime}, {latency.memory_format}, on "
        f"{_text(latency.hardware)}; {latency.repeats} passes after {latency.warm_up} untimed ones."
    )


def _files(files: Sequence[tuple[str, str, int, str, float | None]]) -> str:
    rows = [
        "| file | format | bytes | SHA-256 | logits differ from torch's by |",
        "| --- " * 5 + "|",
    ]
    for name, kind, size, digest, difference in files:
        differs = "not run" if difference is None else f"{difference:.2g}"
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


def _row(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _text(text: str) -> str:
    """Text that is neither HTML nor Markdown."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    for mark in "\\`*_[]|#~":
        escaped = escaped.replace(mark, f"\\{mark}" if mark != "#" else "&#35;")
    return escaped
