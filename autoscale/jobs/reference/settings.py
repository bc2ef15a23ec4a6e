"""Which published networks stand beside the candidates of a check or a grid."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoscale.errors import InvalidSetting
from autoscale.models.settings import packaged_names
from autoscale.runs.sources.find import keep_names
from autoscale.settings.command import Settings
from autoscale.settings.option import begun, option

_PIXELS = re.compile(r"(?P<source>.*)@(?P<pixels>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Asked:
    """A published network as it was asked for."""

    source: str  # of its weights
    pixels: int | None  # per side; None for those of the candidates


def split_pixels(text: str) -> Asked:
    """What a text such as `lite0.pth@128` asks for; a file of that very name goes first.

    Raises:
        InvalidSetting: if it names nothing, or 0 pixels.
    """
    found = None if Path(text).exists() else _PIXELS.fullmatch(text)
    asked = Asked(found["source"], int(found["pixels"])) if found else Asked(text, None)
    if not asked.source or asked.pixels == 0:
        raise InvalidSetting(
            f"not a rival: {text!r}; name weights, and perhaps pixels of at least 1 behind them, "
            "as FILE@128"
        )
    return asked


def _place(text: str, change: Callable[[str], str]) -> str:
    """A rival with a change made to the file that it names."""
    asked = split_pixels(text)
    pixels = "" if asked.pixels is None else f"@{asked.pixels}"
    return f"{keep_names(asked.source, change)}{pixels}"


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings(Settings):
    """Published networks with their weights, which are fine-tuned beside the candidates."""

    # What the files hold decides, and each that is new is trained: so they bind nothing.
    reference: tuple[str, ...] = option(
        (),
        "A published network to beat, by its weights: a file, a network whose weights an installed "
        "package brings (efficientnet-lite0), or hf:OWNER/NAME. It is fine-tuned on the same "
        "images with the same seeds for as many CPU-seconds as a candidate, and shown at its "
        "own multiply-adds. FILE@128 gives it images of 128 pixels. As often as you like. "
        "\\[default pixels: the candidates', the largest]",
        flag="--rival",
        complete=begun(packaged_names),
        place=_place,
        binds=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for number, text in enumerate(self.reference):
            split_pixels(text)
            if text in self.reference[:number]:
                raise InvalidSetting(f"the rival {text} is named twice; name it once")
