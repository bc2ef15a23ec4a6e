"""What is installed: the name and version under which package indexes know autoscale."""

#: Of the distribution. `autoscale` itself belongs to another project; the import and the command
#: keep that name.
NAME = "autoscale-cnn"
VERSION = "0.1.0"


def install(extra: str) -> str:
    """The command that installs what an optional part of autoscale needs."""
    return f'pip install "{NAME}[{extra}]"'
