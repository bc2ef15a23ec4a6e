"""Files that are written for other runtimes are not networks to load."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscale.errors import InvalidSetting
from autoscale.models.load import EXPORTED, load_model


@pytest.mark.parametrize("ending", EXPORTED)
def test_an_exported_file_is_refused_by_its_name(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"model{ending}"
    file.write_bytes(b"\x1c\0\0\0TFL3")
    with pytest.raises(InvalidSetting, match=r"for another runtime, .* the \.safetensors that"):
        load_model(file)
