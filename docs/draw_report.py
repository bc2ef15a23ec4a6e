"""Draws docs/report.png, the README's picture, from the page of a run, with Chromium.

autoscale report --run runs/demo
python docs/draw_report.py runs/demo/report.html
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

PICTURE = Path(__file__).parent / "report.png"
#: Of the page only how to grow; two figures side by side, in light colours.
STYLE = """<style>
header, footer, nav, main > :not(#grid), #grid-leads { display: none !important; }
section { border: none !important; }
:root { color-scheme: only light; }
</style>"""


def draw(page: Path, picture: Path) -> None:
    """Write the section of `page` on growing as a picture, without the empty space around it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("needs Chromium on the search path")
    with tempfile.TemporaryDirectory() as name:
        alone = Path(name, "page.html")
        text = page.read_text(encoding="utf-8").replace("</head>", STYLE + "</head>", 1)
        alone.write_text(text, encoding="utf-8")
        shot = Path(name, "shot.png")
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--window-size=1240,1600", f"--screenshot={shot}", alone.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        with Image.open(shot) as image:
            drawn = image.convert("RGB")
    empty = Image.new("RGB", drawn.size, drawn.getpixel((0, 0)))
    left, top, right, bottom = ImageChops.difference(drawn, empty).getbbox() or (0, 0, *drawn.size)
    cut = drawn.crop((max(left - 16, 0), max(top - 16, 0), right + 16, bottom + 16))
    cut.save(picture, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), PICTURE)
