"""Files for OpenVINO, ncnn, Core ML and TensorFlow Lite Micro, and for ONNX Runtime in int8."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch

from autoscale.aspect import SQUARE, Aspect
from autoscale.datasets.data import load
from autoscale.datasets.pictures.preparation import ours
from autoscale.distribution import missing
from autoscale.errors import ExportProblem, InvalidSetting
from autoscale.models.export import Exported, export
from autoscale.models.formats import c_array, check, coreml, ncnn, openvino
from autoscale.models.formats.check import onnx_content as content
from autoscale.models.formats.graphs import ONNX
from autoscale.models.load import Model, load_model
from autoscale.models.quantized.calibrated import calibrate
from autoscale.models.settings import ExportSettings
from autoscale.network.build import build
from autoscale.network.interchange.onnx import onnx_session
from autoscale.network.weights import STYLES
from autoscale.quantization.arithmetic import WEIGHT_IN_PAIRS
from autoscale.quantization.execute import run
from autoscale.quantization.files.litert import to_litert
from autoscale.quantization.files.onnx import to_onnx
from autoscale.quantization.post_training import after_training
from autoscale.quantization.simulate import simulate
from tests.conftest import draw_photos
from tests.models.networks import saved, telling
from tests.quantization.designs import DESIGNS, LITE, small

CLASSES = ("blue", 'gr"een??/', "röt", "\\grey")


def needs(extra: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(missing(extra)), reason=f"needs the extra {extra}")


def network_that_has_seen(
    photos: Path, folder: Path, channels: int, aspect: Aspect = SQUARE
) -> Model:
    design = replace(LITE, channels=channels, aspect=aspect)
    preparation = replace(ours(channels), aspect=aspect)
    pixels = load(str(photos), size=design.resolution, preparation=preparation).train.pixels
    images = torch.tensor(pixels / 255).permute(0, 3, 1, 2).float().sub(0.5).div(0.25)
    torch.manual_seed(0)
    network = telling(build(design), images)
    file = saved(folder, design, network, classes=CLASSES, preparation=preparation)
    return load_model(file)


#: Channels and shape of the images.
KINDS = {
    "colour": (3, SQUARE),
    "grey": (1, SQUARE),
    "wide": (3, Aspect(3, 2)),
    "tall grey": (1, Aspect(2, 3)),
}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, photos: Path, tmp_path: Path) -> Model:
    return network_that_has_seen(photos, tmp_path, *KINDS[request.param])


def exported(model: Model, name: str, photos: Path, out: Path, dtype: str) -> Exported:
    return export(model, out, formats=[name], data=str(photos), dtype=dtype)


class Twice(NamedTuple):
    """Two exports of a network, and how many ONNX files were made for them."""

    first: Exported
    again: Exported
    traced: int


@pytest.fixture(scope="module", params=KINDS)
def twice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twice:
    """A network of each kind in the formats of both runtimes, and the same again."""
    formats = [name for name in ("openvino", "ncnn") if not missing(name)]
    if not formats:
        pytest.skip("needs the extra openvino or ncnn")
    folder = tmp_path_factory.mktemp("twice")
    photos = draw_photos(folder / "photos")
    model = network_that_has_seen(photos, folder, *KINDS[request.param])
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "onnx_content", lambda model: made.append(content(model)) or made[-1])
        first, again = (
            export(model, folder / out, formats=formats, data=str(photos))
            for out in ("out", "again")
        )
    return Twice(first, again, len(made))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        pytest.param("openvino", ["model.bin", "model.xml"], marks=needs("openvino")),
        pytest.param("ncnn", ["model.ncnn.bin", "model.ncnn.param"], marks=needs("ncnn")),
    ],
)
def test_files_in_float_answer_validation_images_as_torch_does(
    twice: Twice, name: str, names: list[str]
) -> None:
    files, again = (
        [file for file in one.files if file.format == name] for one in (twice.first, twice.again)
    )
    assert [file.path.name for file in files] == names
    for file in files:
        assert file.agreement == 1.0
        assert file.difference is not None
        assert file.difference < 1e-4
    assert [file.sha256 for file in again] == [file.sha256 for file in files]
    assert "the first answer is the same for 100.0 % of images" in twice.first.card.read_text()


@needs("openvino")
def test_a_graph_of_openvino_says_how_pictures_are_prepared(twice: Twice) -> None:
    import openvino as runtime

    graph = runtime.Core().read_model(twice.first.card.with_name(openvino.GRAPH))
    told = graph.get_rt_info([openvino.KEY, "classes"]).value
    assert tuple(json.loads(told)) == CLASSES


def test_formats_that_are_made_of_an_onnx_file_share_it(twice: Twice) -> None:
    assert twice.traced == 2  # one in each export


@needs("ncnn")
def test_a_file_that_answers_otherwise_is_not_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network_that_has_seen(photos, tmp_path, 3)
    right = ncnn.converted

    def wrong(onnx: bytes, shape: list[int]) -> tuple[bytes, bytes]:
        layers, numbers = right(onnx, shape)
        return layers, numbers[:-200] + bytes(200)  # of the classifier

    monkeypatch.setattr(ncnn, "converted", wrong)
    with pytest.raises(ExportProblem, match="ncnn gives logits that differ by"):
        export(model, tmp_path / "out", formats=["ncnn"])
    assert not (tmp_path / "out").exists()


@needs("coreml")
def test_a_package_for_core_ml_is_the_same_each_time_and_said_not_to_be_run(
    model: Model, photos: Path, tmp_path: Path
) -> None:
    import coremltools

    found = exported(model, "coreml", photos, tmp_path / "out", "float32")
    again = exported(model, "coreml", photos, tmp_path / "again", "float32")
    assert [file.sha256 for file in again.files] == [file.sha256 for file in found.files]
    assert all(file.difference is None for file in found.files)
    assert f"{coreml.PACKAGE} was not run: Core ML runs on Apple's systems alone" in found.notes
    spec = coremltools.utils.load_spec(str(tmp_path / "out" / coreml.PACKAGE))
    (given,), (made,) = spec.description.input, spec.description.output
    assert (given.name, made.name) == ("images", "logits")
    shape = list(given.type.multiArrayType.shape)
    assert shape == [1, model.preparation.channels, *model.image_size]
    assert json.loads(spec.description.metadata.userDefined["classes"]) == list(CLASSES)


# int8


@needs("litert")
def test_c_source_holds_the_bytes_of_the_litert_file(
    model: Model, photos: Path, tmp_path: Path
) -> None:
    found = exported(model, "c-array", photos, tmp_path / "out", "int8")
    assert [file.path.name for file in found.files] == [c_array.HEADER, c_array.SOURCE]
    assert all(file.agreement is not None and file.agreement >= 0.8 for file in found.files)
    settings = ExportSettings(data=str(photos), dtype="int8")
    network = calibrate(model, str(photos), settings).network
    content = to_litert(network)
    last = network.maps[network.graph.output.name]
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no gcc here")
    (tmp_path / "main.c").write_text(_PROGRAM)
    program = tmp_path / "program"
    sources = [tmp_path / "main.c", tmp_path / "out" / c_array.SOURCE]
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path / 'out'}"]
    subprocess.run([compiler, *strict, *sources, "-o", program], check=True)
    written = subprocess.run([program, tmp_path / "bytes"], check=True, capture_output=True)
    assert (tmp_path / "bytes").read_bytes() == content
    facts, *names = written.stdout.decode().splitlines()
    aligned, *image, scale, zero_point = facts.split()
    shape = [*model.image_size, model.preparation.channels]
    assert int(aligned) == 0
    assert list(map(int, image)) == [*shape, np.prod(shape)]
    assert float(scale) == pytest.approx(last.scale, rel=1e-6)
    assert int(zero_point) == last.zero_point
    assert tuple(names) == CLASSES


_PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include "network.h"

#ifdef NETWORK_SIDE
#define NETWORK_HEIGHT NETWORK_SIDE
#define NETWORK_WIDTH NETWORK_SIDE
#endif

int main(int count, char **arguments) {
    if (count != 2) return 1;
    FILE *file = fopen(arguments[1], "wb");
    fwrite(network_data, 1, sizeof network_data, file);
    fclose(file);
    printf("%d %d %d %d %d %.9g %d\\n", (int)((uintptr_t)network_data % 16), NETWORK_HEIGHT,
           NETWORK_WIDTH, NETWORK_CHANNELS, NETWORK_INPUT_BYTES, NETWORK_OUTPUT_SCALE,
           NETWORK_OUTPUT_ZERO_POINT);
    for (int i = 0; i < NETWORK_CLASSES; ++i) printf("%s\\n", network_classes[i]);
    return 0;
}
"""


@needs("export")
@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("style", ["autoscale", "tf"])
def test_an_onnx_file_in_int8_is_as_near_as_the_simulation(name: str, style: str) -> None:
    made = small(DESIGNS[name], STYLES[style], even=style == "tf")
    _, network = after_training(made.graph, [made.pixels], most=WEIGHT_IN_PAIRS)
    content = to_onnx(network, takes="pixels")
    asked = {"pixels": made.pixels.numpy().astype(np.uint8)}
    found = onnx_session(content).run(None, asked)[0]
    of = network.maps[network.graph.output.name]
    # Steps are rounded otherwise there. Sums that are cut off cost several times what int8 does.
    true = run(made.graph, made.pixels).numpy()
    integers = of.numbers(simulate(network, made.pixels).numpy())
    assert np.abs(found - true).mean() < 1.2 * np.abs(integers - true).mean() + of.scale / 2


@needs("export")
def test_an_onnx_file_in_int8_answers_validation_images(
    model: Model, photos: Path, tmp_path: Path
) -> None:
    found = exported(model, "onnx", photos, tmp_path / "out", "int8")
    (file,) = found.files
    assert file.path.name == ONNX["int8"]
    assert file.agreement is not None
    assert file.agreement >= 0.8
    assert any("takes pixels 0..255, bytes" in note for note in found.notes)
    session = onnxruntime.InferenceSession(file.path)
    (taken,) = session.get_inputs()
    assert taken.shape == ["batch", model.preparation.channels, *model.image_size]
    known = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(known["classes"])) == CLASSES


def test_a_runtime_that_is_missing_is_named_with_what_installs_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network_that_has_seen(photos, tmp_path, 3)
    monkeypatch.setattr("autoscale.distribution.find_spec", lambda name: None)
    for name in ("openvino", "ncnn", "coreml"):
        with pytest.raises(InvalidSetting, match=rf"{name} needs .*autoscale-cnn\[{name}\]"):
            export(model, tmp_path / "out", formats=[name])
    assert not (tmp_path / "out").exists()
