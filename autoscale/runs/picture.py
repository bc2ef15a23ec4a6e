"""A picture in a file of the format that its name says."""

import shutil
import subprocess
from pathlib import Path

from autoscale.errors import InvalidSetting, StorageProblem
from autoscale.runs.store import write_text

FORMATS = (".svg", ".html", ".png")


def write_picture(path: Path, svg: str) -> None:
    """Write SVG text as .svg, inside a page as .html, or drawn by `rsvg-convert` as .png.

    Raises:
        InvalidSetting: for another ending, or for .png without that program.
        StorageProblem: if the disk does not take it.
    """
    if path.suffix not in FORMATS:
        raise InvalidSetting(f"a picture ends in {', '.join(FORMATS)}, got {path.name!r}")
    if path.suffix == ".svg":
        write_text(path, svg)
    elif path.suffix == ".html":
        write_text(path, f'<!doctype html>\n<meta charset="utf-8">\n<body>\n{svg}</body>\n')
    else:
        program = shutil.which("rsvg-convert")
        if program is None:
            raise InvalidSetting(
                f"{path}: drawing .png needs the program rsvg-convert (package librsvg2-bin); "
                "install it, or write .svg or .html"
            )
        command = [program, "--zoom", "2", "--output", str(path)]
        done = subprocess.run(command, input=svg, text=True, capture_output=True)
        if done.returncode:
            raise StorageProblem(f"{path}: {' '.join(done.stderr.split())}")
