"""Search a small convolutional network on your images, find how to scale it, get a family of sizes.

    import autoscale

    autoscale.search_baseline("runs/photos", data="photos", resolution=96, trials=30)
    autoscale.grid_search("runs/photos", autoscale.GridSettings(budget="2x", max_candidates=8))
    autoscale.write_family("runs/photos", phi="0..3")

    trained = autoscale.train("runs/photos/family/phi-2.yaml", "runs/phi-2", data="photos")
    autoscale.predict(trained.weights, ["new/1.jpg"]).table

Each command of the command line calls one of these. Names are imported when they are first used, so
`import autoscale` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autoscale.distribution import VERSION as __version__  # noqa: F401

#: Where each name lives, and what it is called there if it is called otherwise.
_HOMES = {
    "Architecture": "autoscale.design.architecture",
    "AutoscaleError": "autoscale.errors",
    "BaseSettings": "autoscale.workflows.base",
    "Coefficients": "autoscale.design.scaling",
    "Cost": "autoscale.design.cost",
    "Design": "autoscale.design.scalable",
    "GridSettings": "autoscale.workflows.study",
    "Growths": "autoscale.design.family",
    "Head": "autoscale.design.architecture",
    "ImageSettings": "autoscale.workflows.base",
    "Member": "autoscale.design.family",
    "Model": "autoscale.workflows.models",
    "SearchSpace": "autoscale.design.space",
    "Staff": "autoscale.workflows.crew",
    "Stage": "autoscale.design.architecture",
    "Stem": "autoscale.design.architecture",
    "build": "autoscale.network.build",
    "calibrate_w": "autoscale.workflows.calibrate",
    "check_baseline": "autoscale.workflows.check",
    "compare": "autoscale.workflows.compare",
    "compound": "autoscale.design.scaling",
    "cost": "autoscale.design.cost",
    "count": "autoscale.workflows.count",
    "doctor": "autoscale.workflows.doctor:examine",
    "draw_race": "autoscale.report.writing",
    "draw_sizes": "autoscale.report.writing",
    "evaluate": "autoscale.workflows.predict:evaluate_model",
    "export": "autoscale.workflows.export",
    "figures": "autoscale.report.page",
    "grid_search": "autoscale.workflows.grid",
    "hypervolume": "autoscale.search.pareto",
    "knee": "autoscale.search.pareto",
    "latency": "autoscale.workflows.latency:time_networks",
    "load_baseline": "autoscale.workflows.baseline",
    "load_member": "autoscale.workflows.family",
    "load_model": "autoscale.workflows.models",
    "load_run": "autoscale.workflows.load",
    "load_space": "autoscale.workflows.catalogue",
    "pareto_front": "autoscale.search.pareto:front",
    "plan_grid": "autoscale.workflows.grid_plan",
    "predict": "autoscale.workflows.predict",
    "published": "autoscale.design.published",
    "rounding_policy": "autoscale.design.scaling",
    "scale": "autoscale.design.scaling",
    "scale_family": "autoscale.workflows.family",
    "search_baseline": "autoscale.workflows.baseline",
    "spaces": "autoscale.workflows.catalogue:space_table",
    "status": "autoscale.workflows.status:run_status",
    "train": "autoscale.workflows.train",
    "write_family": "autoscale.workflows.family",
    "write_report": "autoscale.report.writing",
}

__all__ = list(_HOMES)

if TYPE_CHECKING:  # the same for editors and type checkers; a test compares the two
    from autoscale.design.architecture import Architecture as Architecture
    from autoscale.design.architecture import Head as Head
    from autoscale.design.architecture import Stage as Stage
    from autoscale.design.architecture import Stem as Stem
    from autoscale.design.cost import Cost as Cost
    from autoscale.design.cost import cost as cost
    from autoscale.design.family import Growths as Growths
    from autoscale.design.family import Member as Member
    from autoscale.design.published import published as published
    from autoscale.design.scalable import Design as Design
    from autoscale.design.scaling import Coefficients as Coefficients
    from autoscale.design.scaling import compound as compound
    from autoscale.design.scaling import rounding_policy as rounding_policy
    from autoscale.design.scaling import scale as scale
    from autoscale.design.space import SearchSpace as SearchSpace
    from autoscale.errors import AutoscaleError as AutoscaleError
    from autoscale.network.build import build as build
    from autoscale.report.page import figures as figures
    from autoscale.report.writing import draw_race as draw_race
    from autoscale.report.writing import draw_sizes as draw_sizes
    from autoscale.report.writing import write_report as write_report
    from autoscale.search.pareto import front
    from autoscale.search.pareto import hypervolume as hypervolume
    from autoscale.search.pareto import knee as knee
    from autoscale.workflows.base import BaseSettings as BaseSettings
    from autoscale.workflows.base import ImageSettings as ImageSettings
    from autoscale.workflows.baseline import load_baseline as load_baseline
    from autoscale.workflows.baseline import search_baseline as search_baseline
    from autoscale.workflows.calibrate import calibrate_w as calibrate_w
    from autoscale.workflows.catalogue import load_space as load_space
    from autoscale.workflows.catalogue import space_table
    from autoscale.workflows.check import check_baseline as check_baseline
    from autoscale.workflows.compare import compare as compare
    from autoscale.workflows.count import count as count
    from autoscale.workflows.crew import Staff as Staff
    from autoscale.workflows.doctor import examine
    from autoscale.workflows.export import export as export
    from autoscale.workflows.family import load_member as load_member
    from autoscale.workflows.family import scale_family as scale_family
    from autoscale.workflows.family import write_family as write_family
    from autoscale.workflows.grid import grid_search as grid_search
    from autoscale.workflows.grid_plan import plan_grid as plan_grid
    from autoscale.workflows.latency import time_networks
    from autoscale.workflows.load import load_run as load_run
    from autoscale.workflows.models import Model as Model
    from autoscale.workflows.models import load_model as load_model
    from autoscale.workflows.predict import evaluate_model
    from autoscale.workflows.predict import predict as predict
    from autoscale.workflows.status import run_status
    from autoscale.workflows.study import GridSettings as GridSettings
    from autoscale.workflows.train import train as train

    # Assigned, since an import under another name is not public to a strict type checker.
    doctor = examine
    evaluate = evaluate_model
    latency = time_networks
    pareto_front = front
    spaces = space_table
    status = run_status
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'autoscale' has no attribute {name!r}")
        module, _, other = _HOMES[name].partition(":")
        return getattr(import_module(module), other or name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
