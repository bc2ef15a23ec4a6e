"""What --group-by says: a column, or a regular expression on names; light, for settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autoscale.errors import DataProblem, InvalidSetting

#: What groups by names instead of by a column begins with.
BY_NAME = "path:"


@dataclass(frozen=True, slots=True)
class GroupBy:
    """How pictures are grouped, out of what --group-by says.

    Raises:
        InvalidSetting: for no text, or no regular expression with a group.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InvalidSetting("group_by must not be empty; name a column, or path:REGEX")
        if self.column is None:
            self._pattern()

    @property
    def column(self) -> str | None:
        """The column that tells groups; None if names do."""
        return None if self.text.startswith(BY_NAME) else self.text

    @property
    def told(self) -> str:
        """What groups are of, for sentences."""
        return self.column or self.text

    def _pattern(self) -> re.Pattern[str]:
        expression = self.text.removeprefix(BY_NAME)
        try:
            pattern = re.compile(expression)
        except (re.error, RecursionError, OverflowError) as problem:
            raise InvalidSetting(
                f"--group-by {self.text}: {expression!r} is no regular expression: {problem}"
            ) from None
        if pattern.groups < 1:
            raise InvalidSetting(
                f"--group-by {self.text} has no group in brackets; put them around what pictures "
                "of a group share, as path:([^/]*)_[0-9]+"
            )
        return pattern

    def of_names(self, names: Sequence[str]) -> list[str]:
        """The group of each name: the first group of the regular expression, wherever it is found.

        Raises:
            DataProblem: if names have none.
        """
        pattern = self._pattern()
        found = [match[1] if (match := pattern.search(name)) else None for name in names]
        if missing := [name for name, group in zip(names, found, strict=True) if not group]:
            raise DataProblem(
                f"--group-by {self.text} finds no group in {len(missing):,} of {len(names):,} "
                f"names, the first {missing[0]}; widen it"
            )
        return [group or "" for group in found]
