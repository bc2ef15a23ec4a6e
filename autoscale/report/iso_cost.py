"""A grid's race as a picture: where on the surface of equal cost accuracy is high.

Candidates of one cost share out its growth among depth, width and resolution. The shares are the
logarithms of what each became (of width and resolution squared, since cost grows with their
squares), so every candidate is a place in a triangle whose corners are "depth only", "width only"
and "resolution only". One SVG file, without fonts, scripts or styles from elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import log, sqrt

import pandas as pd

WIDTH, HEIGHT = 960, 700
#: The triangle's corners, pixels: depth, width, resolution.
CORNERS = ((480.0, 110.0), (150.0, 600.0), (810.0, 600.0))
NAMES = ("depth only", "width only", "resolution only")
#: Worst and best of the scale.
PALE, DEEP = (247, 240, 225), (0, 95, 160)
INK, GREY = "#222222", "#666666"

Colour = Callable[[float], str]


def picture(table: pd.DataFrame, surface: pd.DataFrame, *, title: str, note: str) -> str:
    """The race as SVG text.

    Args:
        table: as `GridResult.table`, the pick first; needs depth, width, resolution (effective
            growth), alpha, beta, gamma, seeds, accuracy, believed, low, high and rules.
        surface: as `GridResult.surface`; needs depth, width, resolution, believed and step, the
            distance of neighbours as a share.
        note: a sentence below the picture, such as the verdict.
    """
    scored = table[table.seeds > 0]
    values = [*surface.believed, *scored.believed]
    worst, best = min(values), max(values)

    def colour(value: float) -> str:
        share = (value - worst) / (best - worst) if best > worst else 0.5
        mixed = (round(p + share * (d - p)) for p, d in zip(PALE, DEEP, strict=True))
        return "#" + "".join(f"{part:02x}" for part in mixed)

    body = [
        *_tiles(surface, colour),
        *_frame(),
        *(_candidate(row, colour, number == 0) for number, row in enumerate(_rows(table))),
        *_scale(worst, best, colour),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            f'<text x="40" y="40" font-size="20" font-weight="bold" fill="{INK}">'
            f"{escape(title)}</text>",
            *body,
            *_note(note),
            "</svg>\n",
        ]
    )


def place(
    depth: float,
    width: float,
    resolution: float,
    *,
    corners: Sequence[tuple[float, float]] = CORNERS,
) -> tuple[float, float]:
    """Pixels of a growth in the triangle; the middle if nothing grew."""
    logs = (log(depth), 2 * log(width), 2 * log(resolution))
    total = sum(logs)
    shares = [part / total for part in logs] if abs(total) > 1e-9 else [1 / 3] * 3
    return (
        sum(share * corner[0] for share, corner in zip(shares, corners, strict=True)),
        sum(share * corner[1] for share, corner in zip(shares, corners, strict=True)),
    )


def _rows(table: pd.DataFrame) -> Iterator[pd.Series]:
    for _, row in table.iterrows():
        yield row


def _tiles(surface: pd.DataFrame, colour: Colour) -> Iterator[str]:
    """What is believed of every place, as hexagons that touch."""
    side = CORNERS[2][0] - CORNERS[1][0]
    for _, row in surface.iterrows():
        x, y = place(row.depth, row.width, row.resolution)
        radius = 1.04 * row.step * side / sqrt(3)
        corners = " ".join(
            f"{x + radius * dx:.1f},{y + radius * dy:.1f}"
            for dx, dy in (
                (0, -1), (0.866, -0.5), (0.866, 0.5), (0, 1), (-0.866, 0.5), (-0.866, -0.5)
            )
        )  # fmt: skip
        yield f'<polygon points="{corners}" fill="{colour(row.believed)}"/>'


def _frame() -> Iterator[str]:
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in CORNERS)
    yield f'<polygon points="{points}" fill="none" stroke="{INK}" stroke-width="1.5"/>'
    for (x, y), name, dy in zip(CORNERS, NAMES, (-16, 26, 26), strict=True):
        yield (
            f'<text x="{x:.0f}" y="{y + dy:.0f}" font-size="15" font-weight="bold" fill="{INK}" '
            f'text-anchor="middle">{name}</text>'
        )


def _candidate(row: pd.Series, colour: Colour, picked: bool) -> str:
    x, y = place(row.depth, row.width, row.resolution)
    radius = 4 + 2 * row.seeds
    fill = colour(row.believed) if row.seeds else "white"
    told = (
        f"alpha {row.alpha:.4g}, beta {row.beta:.4g}, gamma {row.gamma:.4g}: believed "
        f"{row.believed:.4f} ({row.low:.4f} to {row.high:.4f}), {row.seeds} seeds"
    )
    label = row.rules if isinstance(row.rules, str) and row.rules else ""
    drawn = [
        f'<circle class="candidate" cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" '
        f'stroke="{INK}" stroke-width="{3 if picked else 1}"><title>{escape(told)}</title>'
        "</circle>"
    ]
    text = "pick" + (f": {label}" if label else "") if picked else label
    if text:
        drawn.append(
            f'<text x="{x + radius + 5:.1f}" y="{y + 4:.1f}" font-size="12" fill="{INK}" '
            'stroke="white" stroke-width="3" paint-order="stroke">'
            f"{escape(text)}</text>"
        )
    return "\n".join(drawn)


def _scale(worst: float, best: float, colour: Colour) -> Iterator[str]:
    left, top, steps = 720, 120, 24
    yield f'<text x="{left}" y="{top - 10}" font-size="12" fill="{GREY}">believed accuracy</text>'
    for step in range(steps):
        value = worst + (best - worst) * step / (steps - 1)
        yield (
            f'<rect x="{left + 7 * step}" y="{top}" width="7.5" height="14" '
            f'fill="{colour(value)}"/>'
        )
    for x, value, anchor in ((left, worst, "start"), (left + 7 * steps, best, "end")):
        yield (
            f'<text x="{x}" y="{top + 30}" font-size="12" fill="{GREY}" '
            f'text-anchor="{anchor}">{value:.4f}</text>'
        )
    yield (
        f'<text x="{left}" y="{top + 50}" font-size="12" fill="{GREY}">larger dots: more seeds; '
        "white: none</text>"
    )


def _note(note: str) -> Iterator[str]:
    """A sentence in lines that fit."""
    line, y = "", HEIGHT - 48
    for word in [*note.split(), ""]:
        if line and (not word or len(line) + len(word) > 140):
            yield f'<text x="40" y="{y}" font-size="12" fill="{GREY}">{escape(line)}</text>'
            line, y = "", y + 16
        line = f"{line} {word}".strip()
