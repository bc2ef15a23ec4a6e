"""The version that every file carries, so that one of another autoscale is never misread."""

from typing import Any

#: Of every file that autoscale writes to read it again. Files without a version, written before
#: they had one, are of version 1.
FORMAT = 1

UPGRADE = "upgrade autoscale to read it"


def version_problem(found: Any) -> str | None:
    """Why a file of version `found` cannot be read; None if it can."""
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        return f"has format {found!s:.40}, this autoscale reads {FORMAT}"
    if found > FORMAT:
        return f"was written by a newer autoscale: format {found!s:.40}, this one reads {FORMAT}"
    return None
