"""A library in the place of Weights & Biases that writes down what it is told, or misbehaves."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

LIBRARY = """\
import json, os, sys, time

MOOD = os.environ.get("FAKE_MOOD", "")

def say(what, **told):
    with open(os.environ["FAKE_LOG"], "a") as file:
        file.write(json.dumps({"what": what, **told}) + "\\n")

class Settings:
    def __init__(self, **asked):
        pass

class Run:
    def __init__(self, id):
        self.id = id
        self.summary = self

    def log(self, values, step):
        if MOOD == "full" and step == 2:
            raise OSError(28, "No space left on device")
        if MOOD == "dies" and step == 2:
            os._exit(3)
        say("log", step=step, values=values)

    def update(self, values):
        say("answer", values=values)

    def finish(self, exit_code):
        say("finish", code=exit_code)

def init(id=None, config=None, name=None, **rest):
    if MOOD == "raises":
        raise RuntimeError("no account\\nsecond line")
    if MOOD == "hangs":
        time.sleep(600)
    if MOOD == "chatty":
        print("a word of advertisement")
        print("another", file=sys.stderr)
        try:
            say("prompted", got=input("log in? "))
        except EOFError:
            pass
    os.makedirs(os.path.join(os.environ["WANDB_DIR"], "wandb", f"offline-run-1-{id or 'first'}"),
                exist_ok=True)
    say("init", id=id, config=config, name=name)
    return Run(id or "first")
"""


def fake_library(folder: Path, patch: pytest.MonkeyPatch, mood: str = "") -> Path:
    """Put the library before any other; gives the file in which it writes."""
    place = folder / "library"
    place.mkdir(exist_ok=True)
    (place / "wandb.py").write_text(LIBRARY)
    patch.syspath_prepend(str(place))
    patch.setenv("PYTHONPATH", str(place))
    patch.setenv("FAKE_LOG", str(folder / "told.jsonl"))
    set_mood(patch, mood)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        patch.delenv(name)
    return folder / "told.jsonl"


def set_mood(patch: pytest.MonkeyPatch, mood: str) -> None:
    """How the library behaves from now on."""
    patch.setenv("FAKE_MOOD", mood)


def told(log: Path, what: str) -> list[dict[str, Any]]:
    """What it was told of one kind, in order."""
    lines = map(json.loads, log.read_text().splitlines()) if log.exists() else []
    return [line for line in lines if line["what"] == what]
