"""What is installed: name and version as package indexes know them, and extras."""

from collections.abc import Mapping
from importlib.util import find_spec

from autoscale.errors import InvalidSetting

#: Of the distribution. `autoscale` itself belongs to another project; the import and the command
#: keep that name.
NAME = "autoscale-cnn"
VERSION = "0.1.0"
#: The packages that each extra is asked for by, as they are imported.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "parquet": ("pyarrow",),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "litert": ("ai_edge_litert",),
    "openvino": ("onnx", "onnxscript", "onnxruntime", "openvino"),
    "ncnn": ("onnx", "onnxscript", "onnxruntime", "ncnn", "pnnx"),
    "coreml": ("coremltools",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "postgresql": ("psycopg",),
    "ray": ("ray",),
    "tiff": ("tifffile",),
    "weights": ("huggingface_hub",),
    "notebooks": ("nbclient", "ipykernel"),
}


def install(extra: str) -> str:
    """The command that installs what an optional part of autoscale needs."""
    return f'pip install "{NAME}[{extra}]"'


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def require(extra: str, what: str) -> None:
    """Refuse at once what could not be done later.

    Args:
        what: needs the extra, for the message.

    Raises:
        InvalidSetting: naming what is missing, with the way to install it.
    """
    if lacking := missing(extra):
        raise InvalidSetting(f"{what} needs {' and '.join(lacking)}: {install(extra)}")
