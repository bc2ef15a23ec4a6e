"""Do weights to begin with help on these images? Asked of a few short trainings."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoscale.aspect import written
from autoscale.datasets.data import classes_in
from autoscale.datasets.pictures.preparation import in_bands, ours
from autoscale.design.amounts import several
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.jobs.equal_cost import decided_epochs, epochs_by_whole
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.record import Record
from autoscale.jobs.reference.training import cost_of_one
from autoscale.jobs.start import FRESH, Start
from autoscale.jobs.starts.networks import Tried, networks_to_try
from autoscale.jobs.starts.result import (
    RESULT,
    STEP,
    Side,
    StartsCompared,
    WeightsTried,
    starts_table,
)
from autoscale.jobs.starts.settings import TryWeightsSettings
from autoscale.jobs.workers.answers import unpacked
from autoscale.jobs.workers.estimate import estimate_seconds
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.pool import TrainingRequest, worker_pool
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.queue import Job, Trainings
from autoscale.jobs.workers.several import require_single
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Listener, Silent, duration
from autoscale.runs.records import Outcome, outcome_to_record, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.search.objective import Score
from autoscale.settings.function import takes_settings

#: Of short trainings, as candidates of a search have them.
RECIPE = "proxy"
TRAININGS = "trainings.jsonl"


@takes_settings(TryWeightsSettings)
def try_weights(
    run: str | Path = "runs/default",
    *,
    settings: TryWeightsSettings,
    listener: Listener | None = None,
) -> WeightsTried:
    """Train networks with weights and without, in short pairs, and say which start to take.

    Both trainings of a pair have the same seed and are judged on the same validation images; each
    has a peak rate that suits it. Those without weights get as many epochs as bring their
    CPU-seconds nearest to those with them, in which giving the weights is counted. The advice
    covers other seeds and other images of the same kind, see `racing.crossed`; it tells of
    trainings so short, and longer ones bring the two starts nearer to each other.

    The same call continues a broken one; further networks and pairs may be added to a finished one.
    The test images are not read.

    Args:
        run: the run directory; this step writes its `advice` folder.
        listener: told of progress; by default nobody.

    Returns:
        Of each network the trainings from both starts, the difference with its interval, and the
        advice.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    listener = listener or Silent()
    start = Start.for_many(settings)
    tried = networks_to_try(settings, start, listener, classes=len(classes_in(settings.data)))
    _require_same_images(tried)
    start = start.for_design(tried[0].architecture)
    for note in start.expected.notes:
        listener.notice(note)
    folder = StepFolder(Path(run), STEP)
    with folder.locked():
        pairs = _ready(settings, start, tried, folder, listener)
        pairs.begin()
        found = WeightsTried(
            source=start.label, compared=tuple(pairs.compared(network) for network in tried)
        )
        kept = _with_earlier(found.to_dict(), folder)
        write_text(folder.file("starts.csv"), starts_table(kept["networks"]).to_csv(index=False))
        folder.write_result(RESULT, kept)
    return found


def _require_same_images(tried: Sequence[Tried]) -> None:
    """
    Raises:
        InvalidSetting: if networks take images of other channels or another aspect than others.
    """
    first, *others = tried
    own = first.architecture
    for one in others:
        if one.architecture.channels != own.channels:
            raise InvalidSetting(
                f"{first.name} takes images of {own.channels} channels and {one.name} of "
                f"{one.architecture.channels}; try them one after the other"
            )
        if one.architecture.aspect != own.aspect:
            raise InvalidSetting(
                f"{first.name} takes images of aspect {written(own.aspect)} and {one.name} of "
                f"{written(one.architecture.aspect)}; try them one after the other"
            )


def _with_earlier(found: dict[str, Any], folder: StepFolder) -> dict[str, Any]:
    """With the networks that earlier calls of the same run have tried, after these."""
    earlier = folder.read_result(RESULT) or {}
    keys = {one["key"] for one in found["networks"]}
    kept = [one for one in earlier.get("networks", ()) if one.get("key") not in keys]
    return {**found, "networks": [*found["networks"], *kept]}


def _ready(
    settings: TryWeightsSettings,
    start: Start,
    tried: Sequence[Tried],
    folder: StepFolder,
    listener: Listener,
) -> _Pairs:
    """Both ways to train, with their images."""
    size = max(one.architecture.resolution for one in tried)
    white_level = start.expected.preparation.white_level
    begun = Proxy(
        source=ImageSource(
            data=settings.data,
            seed=settings.seed,
            limit=settings.limit,
            strict=settings.strict,
            group_by=settings.group_by,
            white_level=white_level,
        ),
        recipe=recipe_named(RECIPE, epochs=settings.epochs),
        kernels=choose_kernels(
            settings.kernels,
            precision=settings.precision,
            device=settings.device,
            listener=listener,
        ),
        device=settings.device,
        threads=settings.threads,
        transfer=Transfer(start=start),
    ).load(size=size, listener=listener)
    require_single(begun, "try-weights")
    usual = replace(
        ours(start.expected.preparation.channels),
        white_level=white_level,
        area=start.expected.preparation.area,
        aspect=start.aspect,
    )
    scratch = replace(
        FRESH,
        expected=replace(FRESH.expected, preparation=usual),
        measures=start.measures or in_bands(usual.channels),
    )
    fresh = replace(
        begun,
        transfer=Transfer(start=scratch),
        fingerprint="",
        inheritance=None,
    ).load(size=size, listener=Silent())
    if not np.array_equal(begun.images.validation.labels, fresh.images.validation.labels):
        raise DataProblem(
            f"the images in {settings.data} changed while they were read; repeat the command"
        )
    return _Pairs(
        settings=settings, begun=begun, fresh=fresh, tried=tried, folder=folder, listener=listener
    )


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Trains networks with weights and without; what the folder holds is not trained again."""

    settings: TryWeightsSettings
    begun: Proxy  # with the weights
    fresh: Proxy  # without
    tried: Sequence[Tried]
    folder: StepFolder
    listener: Listener

    def begin(self) -> None:
        """Claim the folder, and say what is to be done."""
        facts = {**self.begun.record(), "fresh_images": self.fresh.fingerprint}
        asked = {
            _key(network, start, seed): network.architecture
            for network in self.tried
            for seed in self._seeds
            for start in ("weights", "scratch")
        }
        others = {o.key for o in outcomes_from_journal(self._journal)} - asked.keys()
        notes = {**self.begun.transfer.start.told, "trainings_asked": len(asked) + len(others)}
        kept = Record(settings=self.settings, facts=facts, notes=notes, several=True).begin(
            self.folder, self._journal, self.listener, read=outcomes_from_journal
        )
        done = {outcome.key for outcome in kept if outcome.score}
        left = [design for key, design in asked.items() if key not in done]
        if left:
            seconds = estimate_seconds(self.begun, left) / self.settings.workers
            self.listener.notice(
                f"{several(len(left), 'short training')} to try weights of "
                f"{self.begun.transfer.start.label}: about {duration(seconds)}"
            )

    def compared(self, network: Tried) -> StartsCompared:
        """One network, trained from both starts.

        Raises:
            EvaluationFailed: if all trainings from one of them fail.
        """
        recipe = self.begun.recipe
        scores = self._trained(network, "weights", recipe.epochs)
        epochs = self._epochs(network, [*scores.values()])
        begun_at = self.begun.recipe_of(network.architecture).learning_rate
        return StartsCompared(
            tried=network,
            weights=self._side("weights", recipe.epochs, begun_at, scores),
            scratch=self._side(
                "scratch", epochs, recipe.learning_rate, self._trained(network, "scratch", epochs)
            ),
        )

    def _epochs(self, network: Tried, scores: Sequence[Score]) -> int:
        """Epochs without weights: decided by what some cost, and the same ever after.

        Those with weights need not cost as much: other padding makes other layers.

        Args:
            scores: of the trainings with weights, whose cost is aimed at.
        """
        journal = Journal(self.folder.file("epochs.jsonl"))
        if (kept := decided_epochs(journal).get(network.key)) is not None:
            return kept
        usual, aim = self.fresh.recipe.epochs, cost_of_one(scores)
        first = self._first(network)
        epochs = epochs_by_whole(aim, first, epochs=usual)
        if epochs == usual:  # then that was the training with the first seed
            outcome = Outcome(key=_key(network, "scratch", self._seeds[0]), score=first)
            self._journal.append(outcome_to_record(outcome))
        journal.append(
            {
                "key": network.key,
                "name": network.name,
                "epochs": epochs,
                "cpu_seconds_aimed_at": aim,
                "epochs_timed": usual,
                "cpu_seconds": first.training_cost,
            }
        )
        return epochs

    def _first(self, network: Tried) -> Score:
        """What training it afresh for as many epochs as with weights comes to."""
        request = TrainingRequest(network=network.architecture, seed=self._seeds[0], answers=True)
        with worker_pool(self.settings, self.fresh, self.folder, self.listener) as workers:
            name = f"{network.name}, scratch, to see what it costs"
            return workers.submit(request, name=name).result().score

    def _trained(self, network: Tried, start: str, epochs: int) -> dict[int, Score]:
        """The scores from one start, by seed."""
        way = self.begun if start == "weights" else self.fresh
        proxy = replace(way, recipe=replace(way.recipe, epochs=epochs))
        jobs = [
            Job(
                network=network.architecture,
                seed=seed,
                name=f"{network.name}, {start}, seed {seed}",
                key=_key(network, start, seed),
            )
            for seed in self._seeds
        ]

        def propose(outcomes: Sequence[Outcome], running: Sequence[Job]) -> Job | None:
            done = len(outcomes) + len(running)
            return jobs[done] if done < len(jobs) else None

        with worker_pool(self.settings, proxy, self.folder, self.listener) as workers:
            trainings = Trainings(workers, self._journal, self.listener, answers=True)
            outcomes = trainings.proposed(
                propose, most=len(jobs), leader=lambda found: f"{start} {_mean(found)}"
            )
        by_key = {outcome.key: outcome.score for outcome in outcomes}
        return {job.seed: score for job in jobs if (score := by_key[job.key])}

    def _side(self, start: str, epochs: int, rate: float, scores: dict[int, Score]) -> Side:
        images = len(self.fresh.images.validation)
        shares = [score.inherited for score in scores.values() if score.inherited is not None]
        return Side(
            start=start,
            epochs=epochs,
            rate=rate,
            right={seed: unpacked(score.right or "", images) for seed, score in scores.items()},
            training_cost=statistics.mean(score.training_cost for score in scores.values()),
            inherited=statistics.mean(shares) if shares else None,
        )

    @property
    def _seeds(self) -> range:
        return range(self.settings.seed, self.settings.seed + self.settings.pairs)

    @property
    def _journal(self) -> Journal:
        return Journal(self.folder.file(TRAININGS))


def _key(network: Tried, start: str, seed: int) -> str:
    return f"{network.key}/{start}/{seed}"


def _mean(outcomes: Sequence[Outcome]) -> str:
    found = [outcome.score.accuracy for outcome in outcomes if outcome.score]
    return f"{statistics.mean(found):.3f}" if found else "none yet"
