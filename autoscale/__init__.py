"""Search a small convolutional network on your images, find how to scale it, get a family of sizes.

    import autoscale

    autoscale.make_network("photos", "runs/one", max_cost=["macs=30M"], hours=1)

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
    "AdviseSettings": "autoscale.jobs.advise.settings",
    "Architecture": "autoscale.design.architecture",
    "AutoscaleError": "autoscale.errors",
    "Board": "autoscale.devices.board",
    "CheckSettings": "autoscale.jobs.search.settings",
    "Coefficients": "autoscale.design.rounding",
    "Cost": "autoscale.design.cost",
    "CutSettings": "autoscale.jobs.nested.settings",
    "Design": "autoscale.scaling.scalable",
    "FamilySettings": "autoscale.jobs.grid.settings",
    "GridSettings": "autoscale.jobs.grid.settings",
    "Growths": "autoscale.scaling.family",
    "Head": "autoscale.design.architecture",
    "MakeSettings": "autoscale.pipeline.settings",
    "Member": "autoscale.scaling.family",
    "Model": "autoscale.models.load",
    "SearchSettings": "autoscale.jobs.search.settings",
    "SearchSpace": "autoscale.design.space",
    "Stage": "autoscale.design.architecture",
    "Stem": "autoscale.design.architecture",
    "TrainFamilySettings": "autoscale.jobs.nested.settings",
    "TrainSettings": "autoscale.jobs.train.settings",
    "TryWeightsSettings": "autoscale.jobs.starts.settings",
    "advise": "autoscale.jobs.advise.job",
    "boards": "autoscale.devices.boards:board_table",
    "build": "autoscale.network.build",
    "calibrate": "autoscale.models.inference.calibrate",
    "calibrate_w": "autoscale.jobs.search.calibrate",
    "check_baseline": "autoscale.jobs.check",
    "compare": "autoscale.models.compare",
    "compound": "autoscale.design.rounding",
    "cost": "autoscale.design.cost",
    "count": "autoscale.models.count",
    "cut": "autoscale.jobs.nested.cut",
    "doctor": "autoscale.inspection.doctor:examine",
    "draw_race": "autoscale.report.writing",
    "draw_sizes": "autoscale.report.writing",
    "evaluate": "autoscale.models.inference.evaluation:evaluate_model",
    "export": "autoscale.models.export",
    "figures": "autoscale.report.page",
    "grid_search": "autoscale.jobs.grid.job",
    "hypervolume": "autoscale.search.pareto",
    "knee": "autoscale.search.pareto",
    "latency": "autoscale.models.latency:time_networks",
    "load_baseline": "autoscale.jobs.search.result",
    "load_board": "autoscale.devices.boards",
    "load_member": "autoscale.jobs.family.kept",
    "load_model": "autoscale.models.load",
    "load_run": "autoscale.inspection.read_run",
    "load_space": "autoscale.jobs.search.spaces",
    "make_network": "autoscale.pipeline.job",
    "pareto_front": "autoscale.search.pareto:front",
    "plan_advice": "autoscale.jobs.advise.job",
    "plan_grid": "autoscale.jobs.grid.plan",
    "plan_network": "autoscale.pipeline.job",
    "predict": "autoscale.models.inference.predict",
    "published": "autoscale.design.published",
    "quantize": "autoscale.models.quantized.quantize",
    "rounding_policy": "autoscale.design.rounding",
    "scale": "autoscale.design.rounding",
    "scale_family": "autoscale.jobs.family.scale",
    "search_baseline": "autoscale.jobs.search.job",
    "spaces": "autoscale.jobs.search.spaces:space_table",
    "status": "autoscale.inspection.status:run_status",
    "train": "autoscale.jobs.train.job",
    "train_folds": "autoscale.jobs.folds.job",
    "train_family": "autoscale.jobs.nested.job",
    "try_weights": "autoscale.jobs.starts.job",
    "weights": "autoscale.inspection.weights:weights_here",
    "write_family": "autoscale.jobs.family.job",
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
    from autoscale.design.published import published as published
    from autoscale.design.rounding import Coefficients as Coefficients
    from autoscale.design.rounding import compound as compound
    from autoscale.design.rounding import rounding_policy as rounding_policy
    from autoscale.design.rounding import scale as scale
    from autoscale.design.space import SearchSpace as SearchSpace
    from autoscale.devices.board import Board as Board
    from autoscale.devices.boards import board_table
    from autoscale.devices.boards import load_board as load_board
    from autoscale.errors import AutoscaleError as AutoscaleError
    from autoscale.inspection.doctor import examine
    from autoscale.inspection.read_run import load_run as load_run
    from autoscale.inspection.status import run_status
    from autoscale.inspection.weights import weights_here
    from autoscale.jobs.advise.job import advise as advise
    from autoscale.jobs.advise.job import plan_advice as plan_advice
    from autoscale.jobs.advise.settings import AdviseSettings as AdviseSettings
    from autoscale.jobs.check import check_baseline as check_baseline
    from autoscale.jobs.family.job import write_family as write_family
    from autoscale.jobs.family.kept import load_member as load_member
    from autoscale.jobs.family.scale import scale_family as scale_family
    from autoscale.jobs.folds.job import train_folds as train_folds
    from autoscale.jobs.grid.job import grid_search as grid_search
    from autoscale.jobs.grid.plan import plan_grid as plan_grid
    from autoscale.jobs.grid.settings import FamilySettings as FamilySettings
    from autoscale.jobs.grid.settings import GridSettings as GridSettings
    from autoscale.jobs.nested.cut import cut as cut
    from autoscale.jobs.nested.job import train_family as train_family
    from autoscale.jobs.nested.settings import CutSettings as CutSettings
    from autoscale.jobs.nested.settings import TrainFamilySettings as TrainFamilySettings
    from autoscale.jobs.search.calibrate import calibrate_w as calibrate_w
    from autoscale.jobs.search.job import search_baseline as search_baseline
    from autoscale.jobs.search.result import load_baseline as load_baseline
    from autoscale.jobs.search.settings import CheckSettings as CheckSettings
    from autoscale.jobs.search.settings import SearchSettings as SearchSettings
    from autoscale.jobs.search.spaces import load_space as load_space
    from autoscale.jobs.search.spaces import space_table
    from autoscale.jobs.starts.job import try_weights as try_weights
    from autoscale.jobs.starts.settings import TryWeightsSettings as TryWeightsSettings
    from autoscale.jobs.train.job import train as train
    from autoscale.jobs.train.settings import TrainSettings as TrainSettings
    from autoscale.models.compare import compare as compare
    from autoscale.models.count import count as count
    from autoscale.models.export import export as export
    from autoscale.models.inference.calibrate import calibrate as calibrate
    from autoscale.models.inference.evaluation import evaluate_model
    from autoscale.models.inference.predict import predict as predict
    from autoscale.models.latency import time_networks
    from autoscale.models.load import Model as Model
    from autoscale.models.load import load_model as load_model
    from autoscale.models.quantized.quantize import quantize as quantize
    from autoscale.network.build import build as build
    from autoscale.pipeline.job import make_network as make_network
    from autoscale.pipeline.job import plan_network as plan_network
    from autoscale.pipeline.settings import MakeSettings as MakeSettings
    from autoscale.report.page import figures as figures
    from autoscale.report.writing import draw_race as draw_race
    from autoscale.report.writing import draw_sizes as draw_sizes
    from autoscale.report.writing import write_report as write_report
    from autoscale.scaling.family import Growths as Growths
    from autoscale.scaling.family import Member as Member
    from autoscale.scaling.scalable import Design as Design
    from autoscale.search.pareto import front
    from autoscale.search.pareto import hypervolume as hypervolume
    from autoscale.search.pareto import knee as knee

    # Assigned, since an import under another name is not public to a strict type checker.
    boards = board_table
    doctor = examine
    evaluate = evaluate_model
    latency = time_networks
    pareto_front = front
    spaces = space_table
    status = run_status
    weights = weights_here
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            gone = name in ("ImageSettings", "ScalingBase", "WorkerSettings")
            now = "; give its fields to the function, as in workers=4" if gone else ""
            raise AttributeError(f"module 'autoscale' has no attribute {name!r}{now}")
        module, _, other = _HOMES[name].partition(":")
        return getattr(import_module(module), other or name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
