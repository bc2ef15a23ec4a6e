"""Every error autoscale raises on purpose.

AutoscaleError
├── InvalidArchitecture   a design that no network can have
├── InvalidSpace          a search space that cannot be read
├── InvalidSetting        a value that the user chose and we cannot honour
├── BudgetUnreachable     nothing meets the budget
├── SpaceExhausted        every network of a space has been tried
├── NotEnoughTrials       trials that do not say what is asked of them
├── DataProblem           images that cannot be used
│   └── NothingThere      images named where nothing is; an InvalidSetting too
├── EvaluationFailed      a network that could not be scored
├── WorkersUnavailable    workers that cannot start; no network was judged
├── ExportProblem         a format that does not give the network's answers
├── RunConflict           a run directory that holds something else
└── StorageProblem        a disk that does not take what we write
"""


class AutoscaleError(Exception):
    """Anything autoscale refuses to do; the message is one line and safe to show to the user."""


class InvalidArchitecture(AutoscaleError, ValueError):
    """A design that no network can have."""


class InvalidSpace(AutoscaleError, ValueError):
    """A search space that cannot be read."""


class InvalidSetting(AutoscaleError, ValueError):
    """A value that the user chose and we cannot honour."""


class BudgetUnreachable(AutoscaleError):
    """Nothing meets the budget; the message names the nearest."""


class SpaceExhausted(AutoscaleError):
    """Every network of a space has been tried, and none may be tried again."""


class NotEnoughTrials(AutoscaleError):
    """Trials that do not say what is asked of them; the message says what is missing."""


class DataProblem(AutoscaleError):
    """Images that cannot be used."""


class NothingThere(DataProblem, InvalidSetting):
    """A file or folder that was named for images, and is not there: a mistake of the command."""


class EvaluationFailed(AutoscaleError):
    """A network that could not be scored; the message is the cause."""


class WorkersUnavailable(AutoscaleError):
    """Workers that cannot start, whatever they were to train: no network has failed."""


class ExportProblem(AutoscaleError):
    """A format that does not give the network's answers."""


class RunConflict(AutoscaleError):
    """A run directory that holds something else than what is asked of it."""


class StorageProblem(AutoscaleError):
    """A disk that does not take what we write."""


def cause(problem: BaseException) -> str:
    """Type and message of an error of anyone's, in one line of at most 200 characters."""
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"[:200].removesuffix(": ")


def first_line(problem: BaseException) -> str:
    """The first line of its message, at most 200 characters of it; its type if it says nothing."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
