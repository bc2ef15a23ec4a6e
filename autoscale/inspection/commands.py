"""The commands that would make a run again, from the job files that its steps left."""

from collections.abc import Mapping
from pathlib import Path

from autoscale.jobs.advise.result import STEP as CURVES
from autoscale.jobs.advise.settings import AdviseSettings
from autoscale.jobs.check import STEP as CHECK
from autoscale.jobs.family.kept import STEP as FAMILY
from autoscale.jobs.folds.result import STEP as FOLDS
from autoscale.jobs.grid.candidates import GROW, SHRINK
from autoscale.jobs.grid.settings import FamilySettings, GridSettings
from autoscale.jobs.grown.result import STEP as GROWN
from autoscale.jobs.nested.result import STEP as NESTED
from autoscale.jobs.nested.settings import TrainFamilySettings
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.search.settings import CheckSettings, SearchSettings
from autoscale.jobs.starts.result import STEP as ADVICE
from autoscale.jobs.starts.settings import TryWeightsSettings
from autoscale.jobs.train.result import STEP as TRAIN
from autoscale.jobs.train.settings import TrainSettings
from autoscale.runs.job_file import recorded_jobs
from autoscale.runs.store import StepFolder
from autoscale.settings.command import Settings, command_line

#: Of each step in the order in which they are made: its title and the settings of its command.
STEPS: Mapping[str, tuple[str, type[Settings]]] = {
    ADVICE: ("Trial of weights", TryWeightsSettings),
    SEARCH: ("Search", SearchSettings),
    CHECK: ("Check", CheckSettings),
    CURVES: ("Advice", AdviseSettings),
    GROW: ("Grid", GridSettings),
    SHRINK: ("Grid for shrinking", GridSettings),
    FAMILY: ("Family", FamilySettings),
    NESTED: ("Training of the family", TrainFamilySettings),
    GROWN: ("Growth of the family", TrainFamilySettings),
    TRAIN: ("Training", TrainSettings),
    FOLDS: ("Training without each fold", TrainSettings),
}
#: What stands for the command of a step that an older version made; a shell skips it.
NO_COMMAND = "# {}: made by an older autoscale, which recorded no command"


def commands(run: str | Path) -> list[tuple[str, str]]:
    """Title and command line of each step of a run directory; of a family, of each call.

    Images and files of the user's are called by their names, without the folders above them.

    Raises:
        InvalidSetting: if a job file is damaged.
        RunConflict: if another file is.
    """
    found = []
    for name, (title, _) in STEPS.items():
        folder = StepFolder(Path(run), name)
        if folder.read() is None:
            continue
        lines = step_commands(folder, with_places=False) or (NO_COMMAND.format(title),)
        found += [(title, line) for line in lines]
    return found


def step_commands(step: StepFolder, *, with_places: bool = True) -> tuple[str, ...]:
    """The command line of each call that made a step; none if an older version made it.

    Args:
        with_places: name images and files of the user's with the folders above them.

    Raises:
        InvalidSetting: if a job file is damaged.
    """
    if step.name not in STEPS:
        return ()
    jobs = recorded_jobs(step, STEPS[step.name][1])
    shown = jobs if with_places else [job.without_places() for job in jobs]
    return tuple(command_line(job, run=step.run) for job in shown)
