"""Settings of a command as a frozen value, each written once: as a field.

    @dataclass(frozen=True, kw_only=True)
    class SearchSettings(ImageSettings, WorkerSettings):
        command: ClassVar[str] = "search-baseline"
        trials: int = option(20, "Networks to train.", least=1, binds=False)
        max_macs: int | None = option(None, "Never train more.", flag="--max-flops", parse=...)

From its fields come the options of the command line, the arguments of the Python function, the
record of a run, the check on resuming, the command that repeats it and the job file. Groups that
several commands share are classes to inherit from; a command's settings are flat.
"""
