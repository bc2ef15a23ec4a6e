"""The formats that a network can be exported in; help names them without loading torch."""

from collections.abc import Mapping

#: What each format is, quickest first.
FORMATS: Mapping[str, str] = {
    "safetensors": "weights that say which network they belong to",
    "python": "a module that needs torch, and Pillow and numpy for pictures",
    "timm": "names and blocks of timm's EfficientNet",
    "torch-export": "a .pt2 program for torch.export.load",
    "onnx": "extra export",
}


def formats_in_words() -> str:
    """Every format with what it is, for help."""
    return ", ".join(f"{name} ({what})" for name, what in FORMATS.items())
