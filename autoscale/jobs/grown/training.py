"""The training of a member that begins with what the one before learned."""

from __future__ import annotations

from dataclasses import dataclass

from autoscale.errors import RunConflict
from autoscale.jobs.inheritance import Begun
from autoscale.jobs.train.training import Training
from autoscale.network.build import Network
from autoscale.runs.store import StepFolder
from autoscale.training.evaluation.evaluate import scored
from autoscale.training.state import Snapshot

#: The file that tells how a member began.
BEGINNING = "beginning.json"


@dataclass(frozen=True, kw_only=True)
class GrownTraining(Training):
    """A training as `train` does it, which also keeps how good the network was before it began."""

    def _network(self, resume: Snapshot | None) -> tuple[Network, Begun | None]:
        module, begun = super()._network(resume)
        if begun is not None:
            accuracy, _ = scored(
                module, self.task_of(module), self.task.images.validation, runtime=self._runtime
            )
            self.listener.notice(
                f"{self.design.name} begins with an accuracy of {accuracy:.4f} on validation images"
            )
            told = {"accuracy": accuracy, "inherited": begun.inherited}
            self.step.write_result(BEGINNING, told)
        return module, begun


def begins_at(step: StepFolder) -> float | None:
    """How accurate a network was before its training; None if it began with random weights.

    Raises:
        RunConflict: if the file is damaged.
    """
    found = step.read_result(BEGINNING)
    if found is None:
        return None
    try:
        return float(found["accuracy"])
    except (KeyError, TypeError, ValueError) as problem:
        raise RunConflict(
            f"{step.file(BEGINNING)} is damaged ({problem!r}); restore it from a copy or choose "
            "another --run"
        ) from None
