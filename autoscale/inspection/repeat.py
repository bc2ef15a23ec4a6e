"""The commands that would make a run again, from what its steps recorded."""

import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from autoscale.design.measures.macs import MACS
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.grid.candidates import GridSettings
from autoscale.jobs.grid.scaling_base import scalable_from
from autoscale.jobs.search.spaces import space_names, space_text
from autoscale.models.user_model import UserModel
from autoscale.runs.contents import FamilyContents, GridContents, Run, SearchContents
from autoscale.scaling.family import parse_phis
from autoscale.training.recipe import RECIPES, Recipe


def commands(run: Run) -> list[tuple[str, str]]:
    """Title and command line of each step, in the order in which they were made.

    Images and files of the user's are called by their names, without the folders above them.

    Raises:
        RunConflict: if a settings file lacks what it must hold.
    """
    where = ["--run", str(run.path)]
    try:
        found = []
        if run.search:
            found.append(("Search", _line("search-baseline", where, _search(run.search))))
        if run.check and run.search:
            asked = {"networks": len(run.check["random"]), "seeds": len(run.check["baseline"])}
            found.append(("Check", _line("check-baseline", where, asked)))
        for grid in run.grids:
            title = "Grid" if grid.name == "grid" else "Grid for shrinking"
            found.append((title, _line("grid", where, _grid(grid, own=run.search is not None))))
        if run.family:
            found += [("Family", _line("family", where, asked)) for asked in _family(run.family)]
    except (KeyError, TypeError) as problem:
        raise RunConflict(
            f"a settings.json in {run.path} is damaged ({problem!r}); restore it from a copy"
        ) from None
    return found


def _line(command: str, where: list[str], options: Mapping[str, Any]) -> str:
    parts = ["autoscale", command, *where]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            parts.append(flag)
        elif value is not None and value is not False:
            # A text that begins with a dash would be read as an option.
            text = f"{value:g}" if isinstance(value, float) else str(value)
            parts += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return shlex.join(parts)


def _search(found: SearchContents) -> dict[str, Any]:
    settings, notes = found.record["settings"], found.record["notes"]
    task, goal, rungs = settings["task"], settings["objective"], settings["rungs"]
    measure = found.objective.measure
    options: dict[str, Any] = {
        "data": _image_place(notes["data"]),
        "space": _space(settings["space"], found.space.name),
        "trials": notes["trials"],
        "sampler": settings["sampler"],
        "objective": goal["kind"],
        "cost": measure.name if measure != MACS else None,
        "target": measure.write(goal["target"]),
        "w": goal["w"] if goal["kind"] == "soft" else None,
        "max_flops": settings["max_macs"],
        "confirm": found.confirmed or None,
        "rungs": ",".join(map(str, rungs["epochs"])) if rungs else None,
        "caution": rungs["caution"] if rungs else None,
        "resolution": settings["resolution"],
        **_recipe(task["recipe"]),
        "limit": task["limit"],
        "strict": task["strict"],
        "white_level": task.get("white_level"),
        "seed": task["seed"],
        "kernels": task["kernels"],
        "device": notes["device"] if notes["device"] != "cpu" else None,
    }
    return options


def _space(text: str, name: str) -> str:
    shipped = any(space_text(known) == text for known in space_names())
    return name if shipped else f"{name}.yaml"


def _recipe(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's name and epochs; no name where an older version had another one so called."""
    recipe = Recipe(**plain)
    name = next(
        (n for n, known in RECIPES.items() if replace(known, epochs=recipe.epochs) == recipe), None
    )
    return {"recipe": name, "epochs": recipe.epochs}


def _image_place(place: str) -> str:
    return place if place == "synthetic" else Path(place).name


def _grid(grid: GridContents, *, own: bool) -> dict[str, Any]:
    settings, notes = grid.record["settings"], grid.record["notes"]
    held = {f.name for f in fields(GridSettings)}
    asked = {name: value for name, value in {**settings, **notes}.items() if name in held}
    usual = GridSettings()
    options: dict[str, Any] = {}
    if not own:
        base = scalable_from(settings["base"])
        if isinstance(base, UserModel):
            options |= {"model": base.name, "resolution": base.resolution}
        else:
            options |= {"baseline": "base.yaml", "rounding": settings["base"]["rounding"]}
        options |= {"data": _image_place(notes["data"]), **_recipe(settings["task"]["recipe"])}
        options |= {"limit": settings["task"]["limit"], "seed": settings["task"]["seed"]}
        options |= {"white_level": settings["task"].get("white_level")}
    elif settings["base"].get("rounding", "tf") != "tf":
        options["rounding"] = settings["base"]["rounding"]
    measure = "flops" if asked["measure"] == MACS.name else asked["measure"]
    options[f"{measure}_budget"] = asked["budget"]
    if asked["solve"]:
        options |= {"solve": True, "move": asked["solve"]}
    for name in ("alpha", "beta", "gamma", "step", "tolerance", "max_candidates", "seeds",
                 "trainings"):  # fmt: skip
        if asked[name] != getattr(usual, name):
            options[name] = asked[name]
    if not asked["rivals"]:
        options["no_rivals"] = True
    if not asked["race"]:
        options["no_race"] = True
    return options


def _family(family: FamilyContents) -> list[dict[str, Any]]:
    """One call for the sizes and one for each measure of budgets, from the members' names."""
    sizes = [name.removeprefix("phi-") for name in family.names if _is_size(name)]
    budgets: dict[str, list[str]] = {}
    for name in family.names:
        if not _is_size(name):
            budget, _, measure = name.partition("-")
            budgets.setdefault(measure or "macs", []).append(budget)
    calls: list[dict[str, Any]] = [{"phi": ",".join(sizes)}] if sizes else []
    calls += [
        {"budgets": ",".join(texts), "measure": measure if measure != "macs" else None}
        for measure, texts in budgets.items()
    ]
    return calls


def _is_size(name: str) -> bool:
    if not name.startswith("phi-"):
        return False
    try:
        parse_phis(name.removeprefix("phi-"))
    except InvalidSetting:
        return False
    return True
