"""Search a small convolutional network on your images, find how to scale it, get a family of sizes.

    import autoscale

    autoscale.search_baseline("runs/photos", data="photos", resolution=96, trials=30)
    autoscale.grid_search("runs/photos", autoscale.GridSettings(budget="2x", max_candidates=8))
    autoscale.write_family("runs/photos", phi="0..3")

    member = autoscale.load_member("runs/photos/family/phi-2.yaml")
    network = autoscale.build(member.architecture, dropout=member.dropout)

Names are imported when they are first used, so `import autoscale` is quick.
"""

from importlib import import_module
from typing import Any

#: Where each name lives, and what it is called there if it is called otherwise.
_HOMES = {
    "Architecture": "autoscale.design.architecture",
    "BaseSettings": "autoscale.workflows.base",
    "Coefficients": "autoscale.design.scaling",
    "Cost": "autoscale.design.cost",
    "Design": "autoscale.design.scalable",
    "GridSettings": "autoscale.workflows.study",
    "Growths": "autoscale.design.family",
    "Head": "autoscale.design.architecture",
    "ImageSettings": "autoscale.workflows.base",
    "Member": "autoscale.design.family",
    "SearchSpace": "autoscale.design.space",
    "Stage": "autoscale.design.architecture",
    "Stem": "autoscale.design.architecture",
    "build": "autoscale.network.build",
    "calibrate_w": "autoscale.workflows.calibrate",
    "check_baseline": "autoscale.workflows.check",
    "compound": "autoscale.design.scaling",
    "cost": "autoscale.design.cost",
    "figures": "autoscale.report.page",
    "grid_search": "autoscale.workflows.grid",
    "hypervolume": "autoscale.search.pareto",
    "knee": "autoscale.search.pareto",
    "load_baseline": "autoscale.workflows.baseline",
    "load_member": "autoscale.workflows.family",
    "load_run": "autoscale.workflows.load",
    "load_space": "autoscale.workflows.catalogue",
    "pareto_front": "autoscale.search.pareto:front",
    "plan_grid": "autoscale.workflows.grid_plan",
    "published": "autoscale.design.published",
    "scale": "autoscale.design.scaling",
    "scale_family": "autoscale.workflows.family",
    "search_baseline": "autoscale.workflows.baseline",
    "write_family": "autoscale.workflows.family",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'autoscale' has no attribute {name!r}")
    module, _, other = _HOMES[name].partition(":")
    return getattr(import_module(module), other or name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
