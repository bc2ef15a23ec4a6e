"""Each step of a run from images to a network: an existing job, with its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.limits import split_limit
from autoscale.design.measures.registry import kind_named
from autoscale.design.rounding import PAPER
from autoscale.errors import DataProblem
from autoscale.inspection.doctor import examine
from autoscale.jobs.check import check_baseline
from autoscale.jobs.family import write_family
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.grid.settings import FamilySettings, GridSettings
from autoscale.jobs.groups import (
    DeviceSettings,
    ImageSettings,
    KernelSettings,
    WorkerSettings,
)
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import Baseline
from autoscale.jobs.search.settings import CheckSettings, SearchSettings
from autoscale.jobs.train import Trained, train
from autoscale.jobs.train_settings import TrainSettings
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import ImageSource, Pace, Proxy, recipe_named
from autoscale.listener import Listener, Silent
from autoscale.models.count import load_architecture
from autoscale.models.export import export, possible_formats
from autoscale.models.load import load_model
from autoscale.models.predict import Evaluation, evaluate_model
from autoscale.models.settings import ExportSettings
from autoscale.pipeline.plan import NETWORKS, RACED, SEEDS
from autoscale.pipeline.scaled import space_around
from autoscale.pipeline.settings import MakeSettings
from autoscale.pipeline.source import GROWTH, Beginning
from autoscale.runs.store import StepFolder, write_text
from autoscale.search.engine import Trial

#: Recipes of the network that is kept and of candidates, with weights and without; epochs of each
#: candidate.
TUNED, WHOLE, CANDIDATES, CANDIDATE_EPOCHS = "finetune", "full", "proxy", 3
#: Peak rate of a network that lost most of its source's channels: less than this share of its
#: multiply-adds is left.
CUT_RATE, CUT = 0.003, 0.5


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The jobs of one run directory, with what is settled for all of them."""

    run: Path
    settings: MakeSettings
    began: Beginning
    folder: StepFolder  # with the design at the limits and the space around it
    listener: Listener

    @property
    def scaled(self) -> Path:
        """The file of the design at the limits."""
        return self.folder.file("scaled.yaml")

    def write(self) -> None:
        """The design at the limits."""
        write_text(self.scaled, self.began.scaled.to_yaml())

    def _space(self, *, to_grow: bool) -> Path:
        """The file of the space that is searched."""
        began, file = self.began, self.folder.file("space.yaml")
        middle = began.smaller if to_grow else began.scaled
        assert middle is not None, "planned without a grid"
        write_text(file, space_around(middle.architecture, name=f"around-{began.name}"))
        return file

    def examined(self) -> None:
        """Look at the machine and the images; tell what may spoil the work.

        Raises:
            DataProblem: naming what would break it.
        """
        for found in examine(run=self.run, data=self.settings.data, device=self.settings.device):
            told = f"{found.subject}: {found.found}" + (f"; {found.advice}" * bool(found.advice))
            if found.verdict == "fail":
                raise DataProblem(told)
            if found.verdict == "warn":
                self.listener.notice(f"warning: {told}")

    def proxy(self, resolution: int) -> Proxy:
        """How the network that is kept is trained, with the images."""
        settings, start = self.settings, self.began.start
        return Proxy(
            source=ImageSource(
                data=settings.data,
                seed=settings.seed,
                limit=settings.limit,
                strict=settings.strict,
                white_level=start.expected.preparation.white_level,
            ),
            recipe=recipe_named(self.recipe, epochs=1),
            kernels=choose_kernels(settings.kernels, device=settings.device, listener=Silent()),
            device=settings.device,
            threads=settings.threads,
            start=start,
        ).load(size=resolution, test=True, listener=Silent())

    def pace(self, design: Architecture) -> Pace:
        """How long the parts of that training take."""
        proxy = self.proxy(design.resolution)
        pace, images = proxy.pace(design), proxy.images
        if not proxy.recipe.head_first:
            return pace
        looks = 2 * len(images.train) / len(images.validation)  # each picture, and its mirror image
        return replace(pace, begin=pace.begin + looks * pace.evaluation)

    @property
    def recipe(self) -> str:
        """Of the network that is kept."""
        return TUNED if self.began.source is not None else WHOLE

    def search(self, trials: int, *, to_grow: bool) -> Baseline:
        """Search, or go on searching.

        Args:
            to_grow: keep limits so much lower that a grid's networks keep the limits.
        """
        own, began, shrink = self.settings, self.began, GROWTH if to_grow else 1.0
        recipe = TUNED if began.source is not None else CANDIDATES
        asked = SearchSettings(
            **own.shared(WorkerSettings, KernelSettings, DeviceSettings, ImageSettings),
            **{n: v for n, v in own.of_weights(began.source).items() if n != "white_level"},
            data=own.data,
            space=str(self._space(to_grow=to_grow)),
            trials=trials,
            recipe=recipe,
            epochs=CANDIDATE_EPOCHS,
            max_cost=tuple(_lowered(text, shrink) for text in own.max_cost),
            cost_measure=split_limit(own.max_cost[0])[0],
            target=_lowered(own.max_cost[0], shrink).rpartition("=")[2],
        )
        return search_baseline(self.run, asked, listener=self.listener)

    def check(self) -> str:
        """Hold the baseline against random networks; the verdict."""
        asked = CheckSettings(
            **self.settings.shared(WorkerSettings, DeviceSettings),
            networks=NETWORKS,
            seeds=SEEDS,
            data=self.settings.data,
        )
        return check_baseline(self.run, asked, listener=self.listener).verdict

    def grid(self) -> str:
        """Find how the baseline grows to the limits; the verdict."""
        asked = GridSettings(
            **self.settings.shared(WorkerSettings, DeviceSettings),
            budget=self.settings.max_cost[0],
            max_cost=self.settings.max_cost,
            trainings=RACED,
            data=self.settings.data,
        )
        return grid_search(self.run, asked, listener=self.listener).sentence

    def grown(self, *, by_grid: bool) -> Path:
        """The baseline at the limits, by the grid's coefficients or the paper's; its file."""
        measure, _, budget = self.settings.max_cost[0].rpartition("=")
        found = write_family(
            self.run,
            FamilySettings(
                budgets=budget,
                measure=measure,
                max_cost=self.settings.max_cost,
                coefficients=None if by_grid else PAPER,
            ),
            listener=self.listener,
        )
        return StepFolder(self.run, "family").file(f"{found.members[-1].name}.yaml")

    def train(self, design: Path, run: Path, *, epochs: int, seconds: float) -> Trained:
        """Train the network that is kept, or go on.

        Raises:
            OutOfTime: if it takes more seconds; finished epochs are kept.
        """
        own, began = self.settings, self.began
        names = ("limit", "strict", "seed", "device", "threads", "kernels", "white_level")
        return train(
            run,
            TrainSettings(
                **{name: getattr(own, name) for name in names},
                **{n: v for n, v in own.of_weights(began.source).items() if n != "white_level"},
                network=str(design),
                data=own.data,
                recipe=self.recipe,
                epochs=epochs,
                learning_rate=CUT_RATE if self._is_cut(design) else None,
                time_limit=seconds,
            ),
            listener=self.listener,
        )

    def _is_cut(self, design: Path) -> bool:
        """Whether most of the weights' network is gone."""
        origin = self.began.start.origin
        if origin is None:
            return False
        return cost(design_in(design)).macs < CUT * cost(origin.architecture).macs

    def evaluate(self, weights: Path) -> Evaluation:
        """How good the network is on the test images, or the validation images without such."""
        own, model = self.settings, load_model(str(weights))
        tested = self.proxy(model.resolution).test
        return evaluate_model(
            model,
            data=own.data,
            split="test" if tested else "validation",
            seed=own.seed,
            device=own.device,
            threads=own.threads,
        )

    def export(self, weights: Path, folder: Path) -> Sequence[Path]:
        """The network in every format whose packages are here."""
        model = load_model(str(weights))
        can = [name for name in possible_formats(model) if _writes(name)]
        found = export(model, folder, ExportSettings(formats=tuple(can)))
        return [file.path for file in found.files]


def design_in(file: Path) -> Architecture:
    """The design in a file of a design or of a family's member."""
    return load_architecture(str(file))


def seconds_of(trials: Sequence[Trial]) -> list[float]:
    """What trainings of a search took."""
    return [told.seconds for trial in trials if trial.trained and (told := trial.measured)]


def _writes(format: str) -> bool:
    needed = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "litert": ("ai_edge_litert",)}
    return all(find_spec(name) for name in needed.get(format, ()))


def _lowered(text: str, growth: float) -> str:
    """A limit as settings take it, divided by a growth."""
    measure, most = split_limit(text)
    kind = kind_named(measure)
    return f"{measure}={int(most / growth) if kind.whole else kind.write(most / growth)}"
