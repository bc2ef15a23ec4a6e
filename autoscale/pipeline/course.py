"""One call of a run from images to a network: what is left to do, in the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from autoscale.design.measures.limits import broken
from autoscale.errors import EvaluationFailed, InvalidSetting
from autoscale.jobs.clock import Clock
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.search.result import load_trials
from autoscale.jobs.train.job import OutOfTime
from autoscale.jobs.train.result import STEP as TRAIN
from autoscale.jobs.workers.estimate import Pace
from autoscale.pipeline.ending import Ending
from autoscale.pipeline.plan import CHECKED, LEAST, RACED, RESERVE, Costs, Plan, Step, plan
from autoscale.pipeline.result import Made, Planned, plan_lines
from autoscale.pipeline.settings import AUTO, MakeSettings
from autoscale.pipeline.source import GROWTH, Beginning, without_weights
from autoscale.pipeline.steps import CANDIDATE_EPOCHS, Judged, Steps, design_in, seconds_of
from autoscale.runs.store import StepFolder

#: Seconds that evaluating, exporting and writing the page are taken to need.
FINISH = 60.0
#: How far beyond the time a training may go before it is cut, as a share of the time.
GRACE = 0.05
#: Epochs of the training that is kept, at most, as a multiple of the recipe's.
LONGEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """The training of the network that is kept."""

    epochs: int
    place: Path  # its run directory
    taught: bool  # whether the weights' own network teaches

    @classmethod
    def noted(cls, note: Mapping[str, Any], run: Path) -> _Training:
        """As it was decided."""
        taught = bool(note.get("taught", False))
        return cls(epochs=note["epochs"], place=run / note["place"], taught=taught)


@dataclass(frozen=True, kw_only=True)
class Course:
    """Plans, and carries out what no earlier call has done."""

    run: Path
    settings: MakeSettings
    began: Beginning
    clock: Clock
    steps: Steps

    @property
    def _time(self) -> float:
        return 3600 * self.settings.hours

    @property
    def _left(self) -> float:
        """Seconds for whatever comes before the network is evaluated."""
        return (1 - RESERVE) * self._time - self.clock.spent - FINISH

    def planned(self) -> Planned:
        """The plan of an earlier call with as much time, else a new one."""
        kept, hours, costs = self.clock.last("plan"), self.settings.hours, self._costs()
        if kept is not None and kept.get("source", self.began.source) != self.began.source:
            kept = None  # made before the weights were found to be worse
        if kept is not None and kept["hours"] >= hours:
            found = Plan.from_dict(kept)
        else:
            found = self._plan(costs, longer=kept is not None)
            self.clock.note(plan={**found.to_dict(), "hours": hours, "source": self.began.source})
        return Planned(
            plan=found,
            network=self.began.name,
            costs=self.began.costs_of(self.began.architecture),
            source=self.began.source,
            seconds=self._time - self.clock.spent,
        )

    def _plan(self, costs: Costs, *, longer: bool) -> Plan:
        """What fits; of a run that gets more time, with what it has done already."""
        seconds = self._time if longer else self._time - self.clock.spent
        if longer and not self._comparable:
            seconds -= self.clock.took().get("compare", 0.0)
        if self.began.source is None:
            costs = replace(costs, teach=None, rival=None)
        found = plan(
            seconds,
            costs,
            epochs=recipe_named(self.steps.recipe).epochs,
            compare=self._comparable,
        )
        if self.settings.teach and self.began.source is None:
            note = "no teacher: networks begin with random weights, which were found to be better"
            found = replace(found, left_out=(*found.left_out, note))
        if found.count("grid") and (note := self._no_grid):
            parts = tuple(part for part in found.parts if part.step != "grid")
            found = replace(found, parts=parts, left_out=(*found.left_out, note))
        return found

    @property
    def _no_grid(self) -> str:
        """Why the run can have no grid; empty if it can."""
        if self._searched and not self._to_grow:
            return "no grid: the search of this run was made at the limits themselves"
        if self.began.smaller is None:
            return f"no grid: no size of {self.began.name} costs so little that it could grow"
        return ""

    def _costs(self) -> Costs:
        """Speeds, measured once in a run, after a look at machine and images."""
        kept = self.clock.last("costs")
        if kept is None:
            with self.clock.step("doctor"):
                self.steps.examined()
            with self.clock.step("measuring"):
                kept = self._measured().to_dict()
            self.clock.note(costs=kept)
        return Costs(**kept)

    def _measured(self) -> Costs:
        pace = self.steps.pace(self.began.architecture)
        trial = pace.begin + CANDIDATE_EPOCHS * pace.epoch + pace.evaluation
        rival = self.steps.rival(self.began.architecture)
        return Costs(
            begin=pace.begin,
            epoch=pace.epoch + pace.evaluation,
            trial=trial / self.settings.workers,
            finish=FINISH,
            teach=self.steps.teaching(self.began.architecture),
            # It gets as many epochs, one at least, as take what a candidate's training takes.
            rival=None if rival is None else max(trial, rival) / self.settings.workers,
        )

    def carried_out(self, planned: Planned) -> Made:
        """Everything that is left to do."""
        chosen = self._compare(planned.plan)
        if chosen is not self:  # other recipes, and so another plan
            planned = chosen.planned()
            for line in plan_lines(planned):
                self.clock.notice(line)
        return chosen._carried_out(planned)

    def _carried_out(self, planned: Planned) -> Made:
        found, left_out = planned.plan, list[str]()
        design, verdicts = self.steps.scaled, dict[Step, str]()
        if found.count("search"):
            design = self._search(found, left_out)
            verdicts = self._judged(found, left_out)
            if self._to_grow:
                design = self.steps.grown(by_grid="grid" in verdicts)
        if over := broken(self.began.limits, design_in(design)):
            raise EvaluationFailed(f"{design} costs more than {over.exactly}; raise the limit")
        training = self._training(design, taught=bool(found.count("teach")), left_out=left_out)
        usual = recipe_named(self.steps.recipe).epochs
        left_out[:0] = found.left_out_with(training.epochs, usual)
        cut = self._train(design, training)
        if cut is not None:
            left_out.append(cut)
        return self._finished(design, training, cut is not None, verdicts, left_out)

    # The weights

    def settled(self) -> Course:
        """This course, or that without weights, if an earlier call has found them to be worse."""
        chosen = self.clock.last("compared")
        if self.began.source is None or chosen is None or chosen["advice"] != "scratch":
            return self
        began = without_weights(self.began, self.settings)
        return replace(self, began=began, steps=replace(self.steps, began=began))

    def _compare(self, found: Plan) -> Course:
        """Compare the weights with random ones, once, and take the better ones.

        Where the trainings cannot tell them apart, or too few succeed, the weights stay.
        """
        if not found.count("compare") or self.clock.last("compared") is not None:
            return self
        with self.clock.step("compare"):
            one = self.steps.compare()
        self.clock.note(compared={"advice": one.advice, "sentence": one.sentence})
        self.clock.notice(one.sentence)
        return self.settled()

    @property
    def _comparable(self) -> bool:
        """Whether it is to be decided which weights networks begin with."""
        return self.settings.weights == AUTO and self.began.source is not None

    # Search, check and grid

    @property
    def _searched(self) -> bool:
        return StepFolder(self.run, SEARCH).read() is not None

    @property
    def _to_grow(self) -> bool:
        """Whether the run's search looks for networks that a grid then enlarges."""
        return bool(self.clock.last("to_grow"))

    def _search(self, found: Plan, left_out: list[str]) -> Path:
        """Search in rising numbers of networks, as long as the rest of the plan fits behind."""
        if not self._searched:
            self.clock.note(to_grow=bool(found.count("grid")))
        asked = found.count("search")
        behind = sum(
            p.seconds for p in found.parts if p.step in ("check", "grid", "rival", "teach", "train")
        )
        done, each = self._trials()
        while True:
            room = max(0, int((self._left - behind) / each)) if each else asked
            target = min(asked, done + room)
            number = max(done, min(target, max(LEAST, done + ceil((target - done) / 2))), 1)
            with self.clock.step("search"):
                self.steps.search(number, to_grow=self._to_grow)
            if done >= target or number >= asked:
                break
            done, each = self._trials()
            if done < number:  # the space holds no more
                break
        if number < asked:
            left_out.append(f"the search has {number} of {asked} networks: each took {each:.0f} s")
        return StepFolder(self.run, SEARCH).file("baseline.yaml")

    def _trials(self) -> tuple[int, float]:
        """Trained networks of the search, and the seconds of each; of several at once, its share.

        No seconds are known before the first.
        """
        if not self._searched:
            return 0, 0.0
        trials = load_trials(self.run)[2]
        took = seconds_of(trials)
        each = sum(took) / len(took) / self.settings.workers if took else 0.0
        return sum(trial.trained for trial in trials), each

    def _judged(self, found: Plan, left_out: list[str]) -> dict[Step, str]:
        """Verdicts of the check and of the grid, as far as they still fit."""
        verdicts: dict[Step, str] = {}
        of = {part.step: part.seconds for part in found.parts}
        training = of["train"] + of.get("teach", 0.0)
        _, each = self._trials()
        works: dict[Step, tuple[float, Callable[..., Judged]]] = {
            "check": (CHECKED * each, self.steps.check),
            "grid": (RACED * each * GROWTH, self.steps.grid),
        }
        planned = [step for step in works if found.count(step)]
        for step in planned:
            seconds, work = works[step]
            rival = bool(found.count("rival")) and step == planned[-1]  # nearest to what is kept
            seconds += of["rival"] if rival else 0.0
            begun = StepFolder(self.run, step).read() is not None
            if not begun and self._left - training < seconds:
                left_out.append(f"no {step}: what is left of the time is the training's")
                continue
            with self.clock.step(step):
                judged = work(rival=rival)
            verdicts[step] = judged.verdict
            verdicts |= {"rival": "; ".join(judged.of_rivals)} if judged.of_rivals else {}
        return verdicts

    # The training of the network that is kept

    def _training(self, design: Path, *, taught: bool, left_out: list[str]) -> _Training:
        """The training of a design, decided once for each time.

        Args:
            taught: whether a teacher is planned; it is left out where its time is not left.
        """
        plain, earlier = design_in(design).to_dict(), self.clock.all("training")
        last: dict[str, Any] | None = next(
            (one for one in reversed(earlier) if one["design"] == plain), None
        )
        if last is not None and last["hours"] >= self.settings.hours:
            return _Training.noted(last, self.run)
        with self.clock.step("measuring"):
            pace = self.steps.pace(design_in(design))
            teach = self.steps.teaching(design_in(design)) if taught else None
        epochs = self._epochs(pace, teach or 0.0)
        if teach is not None and epochs < recipe_named(self.steps.recipe).epochs:
            left_out.append("no teacher: what is left of the time is the training's")
            epochs, teach = self._epochs(pace), None
        if last is not None and last["epochs"] >= epochs:
            return _Training.noted(last, self.run)
        found = {
            "design": plain,
            "epochs": epochs,
            "hours": self.settings.hours,
            "place": f"training-{len(earlier) + 1}" if earlier else ".",
            "taught": teach is not None,
        }
        self.clock.note(training=found)
        return _Training.noted(found, self.run)

    def _epochs(self, pace: Pace, teach: float = 0.0) -> int:
        """As many as fit into what is left.

        Args:
            teach: seconds of a teacher's answers.
        """
        usual = recipe_named(self.steps.recipe).epochs
        fit = int((self._left - teach - pace.begin) / (pace.epoch + pace.evaluation))
        return max(1, min(LONGEST * usual, fit))

    def _train(self, design: Path, training: _Training) -> str | None:
        """Train, or go on; a sentence if the time ends before the training does.

        Raises:
            InvalidSetting: if it ends before the first epoch does.
        """
        costs, place = self._costs(), training.place
        before = costs.begin  # which a limit on a training does not count
        before += costs.teach or 0.0 if training.taught else 0.0
        hardest = (1 + GRACE) * self._time - self.clock.spent - FINISH - before
        finished = StepFolder(place, TRAIN).read_result("result.json") is not None
        with self.clock.step("train"):
            try:
                self.steps.train(
                    design,
                    place,
                    epochs=training.epochs,
                    seconds=None if finished else max(hardest, 1.0),
                    taught=training.taught,
                )
            except OutOfTime as problem:
                if not (place / TRAIN / "best.safetensors").exists():
                    raise InvalidSetting(
                        f"the time ended before one epoch did ({problem}); give it more --hours"
                    ) from None
                return f"the training was cut, and its best epoch so far is kept: {problem}"
        return None

    # The network

    def _finished(
        self,
        design: Path,
        training: _Training,
        cut: bool,
        verdicts: dict[Step, str],
        left_out: list[str],
    ) -> Made:
        """Evaluate once, write the network for other programs, and the page.

        Args:
            cut: whether the time ended before the training did.
        """
        weights = training.place / TRAIN / "best.safetensors"
        beside = () if training.place.samefile(self.run) else (training.place,)
        ended = Ending(run=self.run, began=self.began, clock=self.clock, steps=self.steps).reached(
            weights, beside=None if cut else beside
        )
        judged = ended.judged
        return Made(
            network=self._what(design),
            source=self.began.source,
            costs=self.began.costs_of(design_in(design)),
            limits=tuple(limit.exactly for limit in self.began.limits),
            split=judged.split,
            images=judged.images,
            accuracy=judged.accuracy,
            low=judged.interval[0],
            high=judged.interval[1],
            always=judged.always,
            compared=(self.clock.last("compared") or {}).get("sentence"),
            check=verdicts.get("check"),
            grid=verdicts.get("grid"),
            rival=verdicts.get("rival"),
            teacher=self.began.source if training.taught else None,
            int8=ended.int8,
            weights=weights,
            export=self.run / "export",
            report=ended.page,
            took=self.clock.took(),
            seconds=self.clock.spent,
            left_out=(*left_out, *ended.left_out),
        )

    def _what(self, design: Path) -> str:
        if design == self.steps.scaled:
            return f"{self.began.name} scaled to the limits"
        if self._to_grow:
            return "the baseline of the search, grown to the limits"
        return "the baseline of the search"
