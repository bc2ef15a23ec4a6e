"""The page on recipes names every recipe and every field."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from autoscale.training.recipe import RECIPES, Recipe

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def rows_of(title: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    part = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_recipes_of_the_page_are_those_that_there_are() -> None:
    told = {row[0].strip("`"): row[2:] for row in rows_of("Those that there are")}
    held = {
        name: [
            str(one.epochs), str(one.batch_size), one.optimizer, f"{one.learning_rate:g}", one.crop
        ]
        for name, one in RECIPES.items()
    }  # fmt: skip
    assert told == held


def test_the_fields_of_the_page_are_those_of_a_recipe() -> None:
    told = [name for row in rows_of("Fields") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(one.name for one in fields(Recipe))
