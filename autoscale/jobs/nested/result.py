"""A family that was trained in one set of weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.errors import RunConflict
from autoscale.jobs.train.result import Trained
from autoscale.runs.store import StepFolder

STEP = "nested"
RESULT = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberResult:
    """How good a member is, cut out of the weights of all."""

    name: str
    phi: float
    pixels: int  # per side
    macs: int  # multiply-adds of convolutions and linear layers, one image
    params: int
    validation_accuracy: float
    test_accuracy: float | None  # None without test images
    # Where an image may have several labels: mean average precision, by which the best epoch is
    # chosen; the accuracies are exact matches at probabilities of 0.5, and of a member with weights
    # of its own on test images at its thresholds.
    validation_map: float | None = None
    test_map: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data; nothing of mean average precision where there is none."""
        plain = asdict(self)
        for name in ("validation_map", "test_map"):
            if self.validation_map is None:
                del plain[name]
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedFamily:
    """A family that was trained in one set of weights."""

    largest: Trained  # with the file of the weights of all
    members: tuple[MemberResult, ...]  # smallest first

    @property
    def table(self) -> pd.DataFrame:
        """One row a member."""
        return members_table(self.members)


def members_table(members: tuple[MemberResult, ...]) -> pd.DataFrame:
    """One row a member; the columns are the fields of `MemberResult`, or of a kind of it."""
    rows = [member.to_dict() for member in members]
    # As they are: whole numbers beside a None would become floats.
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=_dtype(name, rows))
                         for name in rows[0]})  # fmt: skip


def _dtype(name: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    known = [row[name] for row in rows]
    return object if None in known and any(isinstance(value, int) for value in known) else None


def told_of_members(members: Iterable[MemberResult]) -> dict[str, float | str | None]:
    """What trackers are told of members."""
    told: dict[str, float | str | None] = {}
    for member in members:
        told[f"{member.name}/validation accuracy"] = member.validation_accuracy
        told[f"{member.name}/test accuracy"] = member.test_accuracy
        told[f"{member.name}/multiply-adds"] = member.macs
        told[f"{member.name}/parameters"] = member.params
    return told


def read_members(step: StepFolder) -> tuple[MemberResult, ...] | None:
    """The members of a finished training; None if it is not finished.

    Raises:
        RunConflict: if the file is damaged.
    """
    found = step.read_result(RESULT)
    if found is None:
        return None
    try:
        return tuple(_member(plain) for plain in found["members"])
    except (KeyError, TypeError, ValueError) as problem:
        raise RunConflict(
            f"{step.file(RESULT)} is damaged ({problem!r}); remove it and repeat the command, "
            "finished epochs are kept"
        ) from None


def result_of(path: Path, members: tuple[MemberResult, ...]) -> dict[str, Any]:
    """A finished training as plain data: its weights' file and how good the members are."""
    return {"weights": path.name, "members": [member.to_dict() for member in members]}


def _member(plain: Mapping[str, Any]) -> MemberResult:
    tested = plain["test_accuracy"]
    return MemberResult(
        name=str(plain["name"]),
        phi=float(plain["phi"]),
        pixels=int(plain["pixels"]),
        macs=int(plain["macs"]),
        params=int(plain["params"]),
        validation_accuracy=float(plain["validation_accuracy"]),
        test_accuracy=None if tested is None else float(tested),
        validation_map=_number(plain.get("validation_map")),
        test_map=_number(plain.get("test_map")),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
