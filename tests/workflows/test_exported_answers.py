"""Whoever follows the exported words and files gets the tool's own answers."""

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from autoscale.errors import InvalidSetting
from autoscale.network.build import build
from autoscale.training.data import read_pictures
from autoscale.training.decoding import decode_one
from autoscale.training.preparation import Preparation
from autoscale.workflows.export import _WRITERS, FORMATS, Exported, export
from autoscale.workflows.input_spec import preparation_data
from autoscale.workflows.models import Model, load_model
from autoscale.workflows.predict import predict, to_network_input
from tests.training.deep import deep_png
from tests.workflows.conftest import CLASSES, saved, small, telling

CLOTHING = Path(__file__).parents[3] / "shared" / "data" / "clothing"
Answers = Callable[[NDArray[np.float32]], NDArray[np.float32]]


# A reader of its own: Pillow opens files and resizes, numpy does the rest by preparation.json.

#: By EXIF orientation, what turns a picture upright: mirrored, then quarters against the clock.
TURNS = {1: (0, 0), 2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 1), 6: (0, 3), 7: (1, 3), 8: (0, 1)}


def read(path: Path, told: Mapping[str, Any], *, without: str = "") -> NDArray[np.float32]:
    """The picture as the network wants it, (1, 3, S, S).

    Args:
        without: a step to leave out.
    """
    with Image.open(path) as image:
        turn = image.getexif().get(0x0112, 1)
        pixels = _rgb(image, told, background=without != "background")
    if without != "upright":
        mirrored, quarters = TURNS[turn]
        pixels = np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)
    height, width = pixels.shape[:2]
    size, side = told["size"], min(height, width)
    assert told["area"] == "centre-square"
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side) if without != "square" else (0, 0, width, height)
    flat = Image.fromarray(np.ascontiguousarray(pixels))
    assert told["antialias"]
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    kind = filters[told["interpolation"]] if without != "antialias" else Image.Resampling.NEAREST
    square = np.asarray(flat.resize((size, size), kind, box)).astype(np.float64)
    if without == "channel order":
        square = square[..., ::-1]
    scaled = (square * told["scale"] - told["mean"]) / told["deviation"]
    return scaled.transpose(2, 0, 1)[None].astype(np.float32)


def _rgb(image: Image.Image, told: Mapping[str, Any], *, background: bool) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        white = told["white_level"]
        values = np.minimum(np.asarray(image).astype(np.float64), white) * 255 / white
        return np.repeat(np.floor(values + 0.5)[..., None], 3, axis=2).astype(np.uint8)
    if image.has_transparency_data and background:
        seen = np.asarray(image.convert("RGBA")).astype(np.float64)
        share = seen[..., 3:] / 255
        laid = seen[..., :3] * share + np.array(told["background"]) * (1 - share)
        return np.floor(laid + 0.5).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


# Pictures of every kind


def scene(width: int = 90, height: int = 61, seed: int = 0) -> Image.Image:
    """Something to see, other in every corner, with fine detail."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(2, 25) + y / rng.uniform(2, 25)) for _ in range(3)]
    pixels = 128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 12, (height, width, 3))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        at = rng.integers(0, (width, height))
        draw.ellipse((*(at - height // 6), *(at + height // 6)), tuple(rng.integers(0, 255, 3)))
    return image


def with_a_hole(image: Image.Image) -> Image.Image:
    """Transparent in the middle, half so around it."""
    width, height = image.size
    alpha = Image.new("L", image.size, 255)
    draw = ImageDraw.Draw(alpha)
    draw.rectangle((width // 4, height // 4, width * 3 // 4, height * 3 // 4), 128)
    draw.rectangle((width // 3, height // 3, width * 2 // 3, height * 2 // 3), 0)
    image.putalpha(alpha)
    return image


def sixteen_bits(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 251 + 7)


def sixteen_bit_colours(to: Path) -> None:
    to.write_bytes(deep_png(np.asarray(scene()).astype(np.uint16) * 251 + 7))


def turned(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif.tobytes()}


KINDS: dict[str, Callable[[Path], None]] = {
    "wide.png": lambda to: scene().save(to),
    "tall.png": lambda to: scene(53, 120).save(to),
    "photo.jpg": lambda to: scene(400, 302).save(to, quality=92),
    "turned.jpg": lambda to: scene().save(to, quality=95, **turned(6)),
    "mirrored.png": lambda to: scene().save(to, **turned(5)),
    "upside-down.webp": lambda to: scene().save(to, lossless=True, **turned(3)),
    "hole.png": lambda to: with_a_hole(scene()).save(to),
    "turned-hole.png": lambda to: with_a_hole(scene()).save(to, **turned(8)),
    "palette.gif": lambda to: scene().quantize(40).save(to),
    "palette-hole.png": lambda to: scene().quantize(20).save(to, transparency=3),
    "grey.png": lambda to: scene().convert("L").save(to),
    "grey-hole.png": lambda to: with_a_hole(scene()).convert("LA").save(to),
    "sixteen.png": lambda to: sixteen_bits(scene()).save(to),
    "sixteen-colours.png": sixteen_bit_colours,
    "print.jpg": lambda to: scene().convert("CMYK").save(to, quality=95),
    "bits.png": lambda to: scene().convert("1").save(to),
    "animation.gif": lambda to: scene().save(to, save_all=True, append_images=[scene(seed=1)]),
    "scan.tiff": lambda to: scene(161, 240).save(to),
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture of every kind."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, save in KINDS.items():
        save(folder / name)
    return folder


def ways(folder: Path) -> dict[str, Answers]:
    """The exported files as functions from prepared images to logits."""
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    program = torch.export.load(folder / "model.pt2").module()
    network = module_of(folder).load()

    def through(run: Callable[[torch.Tensor], torch.Tensor]) -> Answers:
        return lambda images: run(torch.from_numpy(images)).detach().numpy()

    return {
        "onnx": lambda images: session.run(None, {"images": images})[0],
        "torch-export": through(program),
        "python": through(network),
    }


def module_of(folder: Path) -> Any:
    """`network.py`, imported."""
    path = folder / "network.py"
    module = types.ModuleType("network")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    raised = np.exp(logits.astype(np.float64) - logits.max())
    return raised / raised.sum()


def hold_against_predict(model: Model, folder: Path, paths: list[Path]) -> None:
    """Every exported format answers every picture as `predict` does."""
    told = json.loads((folder / "preparation.json").read_text())
    labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    found = predict(model, paths, top=len(labels))
    assert found.refused == ()
    assert found.table.loc[found.table["rank"] == 1, "class"].nunique() > 1
    formats = ways(folder)
    for path in paths:
        rows = found.table[found.table["image"] == str(path)]
        expected = dict(zip(rows["class"], rows["probability"], strict=True))
        images = read(path, told)
        for way, answers in formats.items():
            chances = softmax(answers(images)[0])
            assert labels[int(chances.argmax())] == rows["class"].iloc[0], (path.name, way)
            for name, chance in zip(labels, chances, strict=True):
                assert chance == pytest.approx(expected[name], abs=0.01), (path.name, way)


# What is said is enough


def test_pictures_of_every_kind_get_predicts_answers_by_the_exported_words_alone(
    whole: tuple[Path, Model, Exported], pictures: Path
) -> None:
    folder, model, _ = whole
    hold_against_predict(model, folder, [pictures / name for name in KINDS])


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("upright", "turned.jpg"),
        ("upright", "mirrored.png"),
        ("background", "hole.png"),
        ("square", "tall.png"),
        ("antialias", "photo.jpg"),
        ("channel order", "wide.png"),
    ],
)
def test_each_told_step_matters(
    whole: tuple[Path, Model, Exported], pictures: Path, step: str, name: str
) -> None:
    """So the comparison above would see it if a step were told wrongly."""
    told = json.loads((whole[0] / "preparation.json").read_text())
    path = pictures / name
    right, wrong = read(path, told), read(path, told, without=step)
    ours = module_of(whole[0]).prepare(path).numpy()
    assert abs(ours - right).max() < 0.05
    assert abs(ours - wrong).max() > 0.5


@pytest.mark.slow
@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing photographs are not here")
def test_fifty_photographs_get_predicts_answers(tmp_path: Path) -> None:
    every = sorted((CLOTHING / "test").glob("*/*.*"))
    paths = every[:: len(every) // 50][:50]
    assert len(paths) == 50
    design = replace(small(), resolution=64, num_classes=10)
    told = preparation_data(Preparation(), 64)
    seen = torch.from_numpy(np.concatenate([read(path, told) for path in every[1::6]]))
    torch.manual_seed(0)
    classes = tuple(sorted(path.name for path in (CLOTHING / "test").iterdir()))
    weights = saved(tmp_path, design, telling(build(design), seen), classes=classes)
    model = load_model(str(weights))
    export(model, tmp_path / "out", formats=["python", "torch-export", "onnx"])
    hold_against_predict(model, tmp_path / "out", paths)


# network.py


@pytest.mark.parametrize("name", KINDS)
def test_the_module_prepares_pictures_as_predict_does_to_the_last_digit(
    whole: tuple[Path, Model, Exported], pictures: Path, name: str
) -> None:
    folder, model, _ = whole
    module = module_of(folder)
    pixels, _, refused = read_pictures([pictures / name], size=model.resolution)
    assert refused == ()
    assert torch.equal(module.prepare(pictures / name), to_network_input(pixels, model))


@pytest.mark.parametrize("name", ["sixteen.png", "turned-hole.png", "photo.jpg"])
def test_another_preparation_is_told_and_done_too(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, name: str
) -> None:
    other = Preparation(
        mean=(0.485, 0.456, 0.406),
        deviation=(0.229, 0.224, 0.225),
        interpolation="bicubic",
        white_level=40000,
    )
    folder = tmp_path_factory.mktemp("other")
    model = replace(load_model(str(saved(folder, small()))), preparation=other)
    export(model, folder / "out", formats=["python"])
    content = (pictures / name).read_bytes()
    expected = to_network_input(decode_one(content, 24, other).pixels[None].copy(), model)
    assert torch.equal(module_of(folder / "out").prepare(pictures / name), expected)
    told = json.loads((folder / "out" / "preparation.json").read_text())
    assert abs(read(pictures / name, told) - expected.numpy()).max() < 0.05
    assert "bicubic" in (folder / "out" / "MODEL_CARD.md").read_text()


def test_the_module_answers_as_predict_does(
    whole: tuple[Path, Model, Exported], pictures: Path
) -> None:
    folder, model, _ = whole
    path = str(pictures / "photo.jpg")
    table = predict(model, [path], top=3).table
    answered = module_of(folder).classify(path)
    assert [name for name, _ in answered] == list(table["class"])
    assert [chance for _, chance in answered] == pytest.approx(list(table["probability"]), abs=1e-6)


# Names and numbers in every file


def test_preparation_and_names_stand_in_every_file_that_can_hold_them(
    whole: tuple[Path, Model, Exported],
) -> None:
    folder = whole[0]
    told = json.loads((folder / "preparation.json").read_text())
    assert (told["size"], told["mean"], told["deviation"]) == (24, [0.5] * 3, [0.25] * 3)
    assert told["interpolation"] == "bilinear"
    assert (folder / "labels.txt").read_text(encoding="utf-8") == "\n".join([*CLASSES, ""])
    props = {p.key: p.value for p in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(props["classes"]) == list(CLASSES)
    assert json.loads(props["preparation"]) == told
    assert json.loads(props["resolution"]) == 24
    assert (json.loads(props["mean"]), json.loads(props["deviation"])) == ([0.5] * 3, [0.25] * 3)
    assert props["producer"].startswith("autoscale ")
    inside = {"preparation.json": "", "labels.txt": ""}
    torch.export.load(folder / "model.pt2", extra_files=inside)
    assert inside == {name: (folder / name).read_text(encoding="utf-8") for name in inside}
    assert module_of(folder).CLASSES == CLASSES
    config = json.loads((folder / "config.json").read_text())
    assert config["label_names"] == list(CLASSES)
    wanted = {"input_size": [3, 24, 24], "mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 1.0}
    assert wanted.items() <= config["pretrained_cfg"].items()
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for step in told["steps"]:
        assert _words(step) in _words(card)


def _words(text: str) -> str:
    return " ".join(text.replace("\\", "").split())


@pytest.mark.parametrize("count", [101, 1000])
def test_every_class_is_named_however_many_there_are(tmp_path: Path, count: int) -> None:
    classes = tuple(f"class {number}" for number in reversed(range(count)))
    design = replace(small(), num_classes=count)
    model = load_model(str(saved(tmp_path, design, classes=classes)))
    out = tmp_path / "out"
    export(model, out, formats=["python", "timm"])
    assert (out / "labels.txt").read_text().splitlines() == list(classes)
    assert classes == module_of(out).CLASSES
    assert json.loads((out / "config.json").read_text())["label_names"] == list(classes)
    card = (out / "MODEL_CARD.md").read_text()
    assert f"and {count - 100:,} more. `labels.txt` names them all" in card


def test_names_with_line_breaks_stay_one_a_line_and_that_is_said(tmp_path: Path) -> None:
    classes = ("a\nb", "c\\d", "e\u2028f")
    model = load_model(str(saved(tmp_path, small(), classes=classes)))
    found = export(model, tmp_path / "out", formats=["python"])
    lines = (tmp_path / "out" / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["a\\nb", "c\\\\d", "e\\u2028f"]
    assert [json.loads(f'"{line}"') for line in lines] == list(classes)
    assert any("labels.txt" in note for note in found.notes)
    assert classes == module_of(tmp_path / "out").CLASSES


def test_a_network_of_nameless_classes_writes_no_names(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "labels.txt").write_text("another network's\n")
    export(load_model(str(saved(tmp_path, small()))), out, formats=["python"])
    assert not (out / "labels.txt").exists()
    assert module_of(out).CLASSES is None
    (first, _), *_others = module_of(out).classify(out / "reference.png")
    assert first.startswith("class ")


def test_names_that_are_not_one_for_each_logit_are_refused(tmp_path: Path) -> None:
    model = load_model(str(saved(tmp_path, small(), classes=("a", "b"))))
    with pytest.raises(InvalidSetting, match="gives 3 logits, but its weights name 2 classes"):
        export(model, tmp_path / "out", formats=["safetensors"])
    assert not (tmp_path / "out").exists()


# The reference


def test_the_reference_is_answered_as_it_says(whole: tuple[Path, Model, Exported]) -> None:
    folder, model, _ = whole
    told = json.loads((folder / "preparation.json").read_text())
    known = json.loads((folder / "reference.json").read_text())
    path = folder / known["picture"]
    with Image.open(path) as image:
        assert image.width != image.height
    images = read(path, told)
    assert images.shape == tuple(known["prepared"]["shape"])
    assert images.mean(axis=(0, 2, 3)) == pytest.approx(known["prepared"]["mean"], abs=1e-4)
    assert images.std(axis=(0, 2, 3)) == pytest.approx(known["prepared"]["deviation"], abs=1e-4)
    assert images[0, :, 0, 0] == pytest.approx(known["prepared"]["top_left"], abs=1e-5)
    assert images[0, :, 12, 12] == pytest.approx(known["prepared"]["centre"], abs=1e-5)
    for way, answers in ways(folder).items():
        assert answers(images)[0] == pytest.approx(known["logits"], abs=1e-3), way
    first = known["first"]
    assert CLASSES[first["index"]] == first["class"]
    table = predict(model, [path], top=1).table
    assert table["class"].iloc[0] == first["class"]
    assert table["probability"].iloc[0] == pytest.approx(first["probability"], abs=1e-6)


@pytest.mark.parametrize("step", ["square", "antialias", "channel order"])
def test_a_mistake_of_preparation_changes_the_reference(
    whole: tuple[Path, Model, Exported], step: str
) -> None:
    told = json.loads((whole[0] / "preparation.json").read_text())
    path = whole[0] / "reference.png"
    right, wrong = read(path, told), read(path, told, without=step)
    assert abs(right.mean(axis=(0, 2, 3)) - wrong.mean(axis=(0, 2, 3))).max() > 0.01


# Files for runtimes


def test_the_onnx_file_says_nothing_of_inner_shapes_nor_of_the_machine(
    whole: tuple[Path, Model, Exported],
) -> None:
    model = onnx.load(whole[0] / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert not model.graph.value_info
    assert not [node for node in model.graph.node if node.metadata_props or node.doc_string]
    (given,) = model.graph.input
    assert [d.dim_value for d in given.type.tensor_type.shape.dim][1:] == [3, 24, 24]
    for name in ("model.onnx", "model.pt2"):
        assert str(Path(__file__).parents[2]).encode() not in (whole[0] / name).read_bytes()


def test_every_format_that_help_names_can_be_written() -> None:
    assert list(FORMATS) == list(_WRITERS)
