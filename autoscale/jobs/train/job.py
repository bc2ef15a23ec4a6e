"""The job of `autoscale train`."""

from pathlib import Path

from autoscale.errors import InvalidSetting
from autoscale.jobs.clock import now
from autoscale.jobs.train.begin import begun
from autoscale.jobs.train.hours import in_time
from autoscale.jobs.train.result import STEP, Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.listener import Listener, Silent
from autoscale.network.threads import threads_of_torch
from autoscale.runs.store import StepFolder
from autoscale.settings.function import takes_settings
from autoscale.tracking.tracking import require_trackers
from autoscale.training.failures import OutOfTime as OutOfTime  # for who calls `train`
from autoscale.training.process_group import joined


@takes_settings(TrainSettings)
def train(
    run: str | Path = "runs/train",
    *,
    settings: TrainSettings,
    listener: Listener | None = None,
) -> Trained:
    """Train a network and keep its best and its last weights in `run`/train.

    The same call continues a broken training after its last whole epoch, to the same bits. Under
    torchrun the processes share every batch; the first of them writes. With `hours` there are only
    as many epochs as fit into these, chosen by timed steps before the first. With `folds` there are
    several trainings: `train_folds` does them.

    The style, the mean and the deviation of the trained network are those of the weights that it
    starts from: as given, else as `expected.expected_by` finds out.

    Args:
        run: the run directory; this step writes its `train` folder.
        listener: told of progress; by default nobody.

    Returns:
        The epochs, the best one, and the file of its weights.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    since, listener = now(), listener or Silent()
    if settings.folds is not None:
        raise InvalidSetting(
            f"--folds {settings.folds} trains several networks, and train gives one; call "
            "train_folds, or leave it out"
        )
    require_trackers(settings.track)
    with joined() as peers, threads_of_torch(settings.threads):
        if peers.rank != 0:
            listener = Silent()
        training = begun(settings, StepFolder(Path(run), STEP), peers, listener)
        return in_time(training, settings.hours, since=since).run()
