"""A page in a real browser: what it holds when it is laid out, and what the console said.

Chromium prints the document of a frame page that loads the page under test at a given width, asks
it questions and writes the answers down. Nothing but the browser itself is needed.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

_FRAME = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<body style="margin:0">
<iframe id="page" src="PAGE" style="border:0;width:WIDTHpx;height:2000px"></iframe>
<pre id="answer">nothing</pre>
<script>
document.getElementById("page").addEventListener("load", event => {
  const view = event.target.contentWindow, page = view.document;
  const answer = (() => { QUESTION })();
  document.getElementById("answer").textContent = JSON.stringify(answer);
});
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and remembers what was asked for."""

    asked: list[str] = []  # noqa: RUF012  (one server at a time)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


def visit(page: Path, question: str, *, width: int) -> tuple[Any, list[str], list[str]]:
    """Open `page` in a frame `width` pixels wide and ask it `question`.

    Args:
        question: the body of a JavaScript function of `page` (the document) and `view` (its
            window) that returns plain data.

    Returns:
        The answer; the lines of the console; the paths that the browser asked the server for.
    """
    assert CHROMIUM is not None
    frame = page.with_name("frame.html")
    text = _FRAME.replace("PAGE", page.name).replace("WIDTH", str(width))
    frame.write_text(text.replace("QUESTION", question))
    Quiet.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile = page.parent / "profile"
    try:
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0",
             f"--window-size={max(width, 500)},2000", "--virtual-time-budget=10000", "--dump-dom",
             f"http://127.0.0.1:{server.server_port}/{frame.name}"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(profile, ignore_errors=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    assert found[1] != "nothing", f"the page never answered; console: {console}"
    return (
        json.loads(html.unescape(found[1])),
        console,
        [p for p in Quiet.asked if "frame" not in p],
    )
