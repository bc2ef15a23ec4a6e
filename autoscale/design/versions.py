"""The version that every file carries, so that one of another autoscale is never misread."""

from typing import Any

#: Of every file that autoscale writes to read it again. Files without a version, written before
#: they had one, are of version 1.
FORMAT = 1

UPGRADE = "upgrade autoscale to read it"


def version_problem(found: Any, *, reads: int = FORMAT) -> str | None:
    """Why a file of version `found` cannot be read by what reads up to `reads`; None if it can."""
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        return f"has format {found!s:.40}, this autoscale reads {reads}"
    if found > reads:
        return f"was written by a newer autoscale: format {found!s:.40}, this one reads {reads}"
    return None
