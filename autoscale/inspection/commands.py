"""The commands that would make a run again, from the job files that its steps left."""

from collections.abc import Mapping
from pathlib import Path

from autoscale.jobs.check import STEP as CHECK
from autoscale.jobs.family import STEP as FAMILY
from autoscale.jobs.grid.candidates import GROW, SHRINK
from autoscale.jobs.grid.settings import FamilySettings, GridSettings
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.search.settings import CheckSettings, SearchSettings
from autoscale.runs.job_file import recorded_jobs
from autoscale.runs.store import StepFolder
from autoscale.settings import Settings, command_line

#: Of each step in the order in which they are made: its title and the settings of its command.
STEPS: Mapping[str, tuple[str, type[Settings]]] = {
    SEARCH: ("Search", SearchSettings),
    CHECK: ("Check", CheckSettings),
    GROW: ("Grid", GridSettings),
    SHRINK: ("Grid for shrinking", GridSettings),
    FAMILY: ("Family", FamilySettings),
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
    for name, (title, kind) in STEPS.items():
        folder = StepFolder(Path(run), name)
        if folder.read() is None:
            continue
        jobs = [job.without_places() for job in recorded_jobs(folder, kind)]
        lines = [command_line(job, run=run) for job in jobs] or [NO_COMMAND.format(title)]
        found += [(title, line) for line in lines]
    return found
