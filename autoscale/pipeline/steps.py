"""Each step of a run from images to a network: an existing job, with its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from autoscale.design.architecture import Architecture
from autoscale.design.measures.limits import split_limit
from autoscale.design.rounding import PAPER
from autoscale.errors import DataProblem
from autoscale.inspection.doctor import examine
from autoscale.jobs.check import check_baseline
from autoscale.jobs.family.job import write_family
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.grid.settings import FamilySettings, GridSettings
from autoscale.jobs.groups.images import ImageSettings
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.groups.workers import DeviceSettings, KernelSettings, WorkerSettings
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import Baseline
from autoscale.jobs.search.settings import CheckSettings, SearchSettings
from autoscale.jobs.starts.job import try_weights
from autoscale.jobs.starts.result import StartsCompared
from autoscale.jobs.starts.settings import TryWeightsSettings
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.jobs.workers.estimate import Pace, pace
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener, Silent
from autoscale.models.count import load_architecture
from autoscale.models.export import export
from autoscale.models.inference.evaluation import Evaluation, evaluate_model
from autoscale.models.load import Model, load_model
from autoscale.models.quantized.quantize import Quantized, quantize
from autoscale.models.settings import ExportSettings
from autoscale.pipeline.around import space_around
from autoscale.pipeline.beside import published, rival_seconds, teaching, teaching_seconds
from autoscale.pipeline.plan import NETWORKS, PAIRS, RACED, SEEDS
from autoscale.pipeline.settings import MakeSettings
from autoscale.pipeline.source import GROWTH, Beginning, lowered
from autoscale.runs.store import StepFolder, write_text
from autoscale.search.engine import Trial

#: Recipes of the network that is kept and of candidates, with weights and without; epochs of each
#: candidate.
TUNED, WHOLE, CANDIDATES, CANDIDATE_EPOCHS = "finetune", "full", "proxy", 3


class Judged(NamedTuple):
    """What a check or a grid says."""

    verdict: str
    of_rivals: Sequence[str]  # sentences


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
        for found in examine(
            run=self.run,
            data=self.settings.data,
            group_by=self.settings.group_by,
            device=self.settings.device,
        ):
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
                group_by=settings.group_by,
                white_level=start.expected.preparation.white_level,
            ),
            recipe=recipe_named(self.recipe, epochs=1),
            kernels=choose_kernels(
                settings.kernels,
                precision=settings.precision,
                device=settings.device,
                listener=Silent(),
            ),
            device=settings.device,
            threads=settings.threads,
            transfer=Transfer(start=start),
        ).load(size=resolution, test=True, listener=Silent())

    def pace(self, design: Architecture) -> Pace:
        """How long the parts of that training take."""
        return pace(self.proxy(design.resolution), design)

    def teaching(self, design: Architecture) -> float | None:
        """Seconds in which the weights' own network answers what that training asks of it.

        None where it is not to teach.

        Raises:
            InvalidSetting: if it cannot.
        """
        if not self.settings.teach or self.began.source is None:
            return None
        proxy = replace(self.proxy(design.resolution), recipe=recipe_named(self.recipe))
        return teaching_seconds(self.began, proxy, design)

    def rival(self, design: Architecture) -> float | None:
        """Seconds of an epoch of the weights' own network; None where it is no rival."""
        proxy = self.proxy(design.resolution)
        return rival_seconds(self.settings, self.began, proxy, design)

    @property
    def recipe(self) -> str:
        """Of the network that is kept."""
        return TUNED if self.began.source is not None else WHOLE

    def compare(self) -> StartsCompared:
        """Train the design at the limits with the weights and without, in short pairs."""
        own, source = self.settings, self.began.source
        assert source is not None
        asked = TryWeightsSettings(
            **own.shared(WorkerSettings, KernelSettings, DeviceSettings, ImageSettings),
            **{n: v for n, v in own.of_weights(source).items() if n != "white_level"},
            data=own.data,
            network=(str(self.scaled),),
            pairs=PAIRS,
            epochs=CANDIDATE_EPOCHS,
        )
        return try_weights(self.run, asked, listener=self.listener).compared[0]

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
            max_cost=tuple(lowered(text, shrink) for text in own.max_cost),
            board=own.board,
            dtype="float32" if began.board is None else began.board.judged_in,
            cost_measure=split_limit(began.aim)[0],
            target=lowered(began.aim, shrink).rpartition("=")[2],
        )
        return search_baseline(self.run, asked, listener=self.listener)

    def check(self, *, rival: bool = False) -> Judged:
        """Hold the baseline against random networks.

        Args:
            rival: hold it against the weights' own network too.
        """
        asked = CheckSettings(
            **self.settings.shared(WorkerSettings, DeviceSettings),
            networks=NETWORKS,
            seeds=SEEDS,
            data=self.settings.data,
            reference=self._rivals if rival else (),
        )
        found = check_baseline(self.run, asked, listener=self.listener)
        return Judged(found.verdict, [one.verdict for one in found.references])

    def grid(self, *, rival: bool = False) -> Judged:
        """Find how the baseline grows to the limits.

        Args:
            rival: hold what is found against the weights' own network too.
        """
        asked = GridSettings(
            **self.settings.shared(WorkerSettings, DeviceSettings),
            budget=self.began.aim,
            max_cost=self.settings.max_cost,
            board=self.settings.board,
            trainings=RACED,
            data=self.settings.data,
            reference=self._rivals if rival else (),
        )
        found = grid_search(self.run, asked, listener=self.listener)
        return Judged(found.sentence, [one.verdict for one in found.references])

    @property
    def _rivals(self) -> tuple[str, ...]:
        source = published(self.settings, self.began)
        return () if source is None else (source,)

    def grown(self, *, by_grid: bool) -> Path:
        """The baseline at the limits, by the grid's coefficients or the paper's; its file."""
        measure, _, budget = self.began.aim.rpartition("=")
        found = write_family(
            self.run,
            FamilySettings(
                budgets=budget,
                measure=measure,
                max_cost=self.settings.max_cost,
                board=self.settings.board,
                coefficients=None if by_grid else PAPER,
            ),
            listener=self.listener,
        )
        return StepFolder(self.run, "family").file(f"{found.members[-1].name}.yaml")

    def train(
        self, design: Path, run: Path, *, epochs: int, seconds: float | None, taught: bool = False
    ) -> Trained:
        """Train the network that is kept, or go on.

        Args:
            seconds: that it may take; None for one that is finished.
            taught: let the weights' own network teach it.

        Raises:
            OutOfTime: if it takes more seconds; finished epochs are kept.
        """
        own, began = self.settings, self.began
        names = (
            *("limit", "strict", "group_by", "seed", "white_level"),
            *("device", "threads", "kernels", "precision"),
        )
        return train(
            run,
            TrainSettings(
                **{name: getattr(own, name) for name in names},
                **{n: v for n, v in own.of_weights(began.source).items() if n != "white_level"},
                **(teaching(began, design_in(design)) if taught else {}),
                network=str(design),
                data=own.data,
                recipe=self.recipe,
                epochs=epochs,
                time_limit=seconds,
            ),
            listener=self.listener,
        )

    def evaluate(self, weights: Path) -> Evaluation:
        """How good the network is on the test images, or the validation images without such."""
        own, model = self.settings, load_model(str(weights))
        return evaluate_model(model, **self._unseen(model), device=own.device, threads=own.threads)

    def quantize(self, weights: Path, folder: Path) -> Quantized:
        """The network in int8, answering the images that `evaluate` takes."""
        model = load_model(str(weights))
        return quantize(model, folder, **self._unseen(model), threads=self.settings.threads)

    def _unseen(self, model: Model) -> dict[str, Any]:
        """The images that a network is evaluated on, in settings."""
        tested = self.proxy(model.resolution).test
        split = "test" if tested else "validation"
        return {"data": self.settings.data, "split": split, "seed": self.settings.seed}

    def export(self, weights: Path, folder: Path) -> Sequence[Path]:
        """The network in every format whose packages are here."""
        found = export(load_model(str(weights)), folder, ExportSettings())
        return [file.path for file in found.files]


def design_in(file: Path) -> Architecture:
    """The design in a file of a design or of a family's member."""
    return load_architecture(str(file))


def seconds_of(trials: Sequence[Trial]) -> list[float]:
    """What trainings of a search took."""
    return [told.seconds for trial in trials if trial.trained and (told := trial.measured)]
