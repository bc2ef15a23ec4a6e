"""A trained network that others learn from: ours, a published one, or an ONNX file."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoscale.aspect import SQUARE, Aspect, ImageSize, aspect_of, image_size
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting, first_line
from autoscale.models.count import load_architecture
from autoscale.models.expected import expected_by
from autoscale.models.settings import PreparationSettings
from autoscale.network.build import Network, build
from autoscale.network.fold import fold_norms
from autoscale.network.inheritance.origin import published_origin
from autoscale.network.interchange.onnx import onnx_session
from autoscale.network.weights import class_rows, load_weights
from autoscale.runs.sources.find import find
from autoscale.runs.sources.releases import IMAGENET_DEVIATION, IMAGENET_MEAN
from autoscale.runs.weights import file_digest, read_weights

#: From images (N, C, S, S) as a network wants them to what it gives, (N, D).
Pass = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A network ready to answer."""

    name: str  # of its file or source
    digest: str  # of the file, and of how it is used
    classes: tuple[str, ...] | None  # what its logits are called, if anybody says
    num_classes: int  # logits
    resolution: int  # pixels in height
    preparation: Preparation  # what it expects of pictures
    logits: Pass
    features: Pass | None  # what its classifier reads; None where that is not to be had
    notes: tuple[str, ...] = ()  # what a person should know, in sentences
    seen: tuple[str, ...] = ()  # some of the images that it was trained on, if its file says so

    def shape(self, count: int) -> tuple[int, ...]:
        """Of so many images."""
        return count, self.preparation.channels, *self.image_size

    @property
    def image_size(self) -> ImageSize:
        """Of the images that it sees."""
        return self.preparation.image_size(self.resolution)


def read_teacher(
    source: str,
    *,
    resolution: int | None = None,
    aspect: Aspect | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Teacher:
    """The network with the weights of a file.

    Args:
        source: what `runs.sources.find` takes, or an ONNX file, by the ending `.onnx`.
        resolution: pixels in height that it sees; by default its own.
        aspect: their width by that, where it takes images of any; by default its own.
        device: where it computes; ONNX files do on the CPU.
        threads: of ONNX Runtime.

    Raises:
        InvalidSetting: if there is no such file, it is no network, or does not say enough.
    """
    if Path(source).suffix.lower() == ".onnx":
        return _from_onnx(Path(source), resolution, aspect, threads)
    return _from_weights(source, resolution, aspect, device)


def _from_weights(
    source: str, resolution: int | None, aspect: Aspect | None, device: str
) -> Teacher:
    file = str(find(source))
    held = read_weights(file)
    if held.header.architecture is not None:
        name, design = file, Architecture.from_dict(held.header.architecture)
    elif (found := published_origin(held.state)) is not None:
        name, design = found, load_architecture(found)
    else:
        raise InvalidSetting(
            f"{source} does not say which network its weights are of, and no published one fits; "
            f"{_EXPORT_IT}"
        )
    try:
        expected = expected_by(held, file, network=name, asked=PreparationSettings())
    except InvalidSetting as problem:
        raise InvalidSetting(f"{str(problem).partition(';')[0]}; {_EXPORT_IT}") from None
    design = replace(
        design,
        resolution=resolution or design.resolution,
        aspect=design.aspect if aspect is None else aspect,
        num_classes=class_rows(held.state) or design.num_classes,
    )
    with torch.random.fork_rng(devices=[]):
        network = build(design, **expected.style.options)
    load_weights(network, held.state)
    preparation = replace(expected.preparation, aspect=design.aspect)
    folded = fold_norms(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    used = {"design": design.to_dict(), **asdict(expected.style)}
    return Teacher(
        name=Path(source).name,
        digest=_digest(file, used, preparation, design.resolution),
        classes=expected.classes,
        num_classes=design.num_classes,
        resolution=design.resolution,
        preparation=preparation,
        logits=_on(device, folded),
        features=_on(device, _without_classifier(folded)),
        notes=expected.notes,
        seen=held.header.seen or (),
    )


_EXPORT_IT = (
    "write a file that says everything with autoscale export NETWORK FOLDER --weights FILE --to "
    "safetensors (and --style, --mean, --deviation where they are asked for), and give that"
)


def _on(device: str, network: nn.Module) -> Pass:
    def answer(images: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = network(images.to(device)).float().cpu()
        return found

    return answer


def _without_classifier(network: Network) -> nn.Module:
    head = [part for name, part in network.head.named_children() if name != "classifier"]
    return nn.Sequential(network.stem, network.stages, *head).eval()


def _from_onnx(path: Path, resolution: int | None, aspect: Aspect | None, threads: int) -> Teacher:
    if not path.is_file():
        raise InvalidSetting(f"no such file: {path}; name an ONNX file, or a file of weights")
    try:
        session = onnx_session(path.read_bytes(), threads=threads)
    except InvalidSetting:
        raise
    except Exception as problem:  # ONNX Runtime has its own tree of errors
        raise InvalidSetting(
            f"{path} is no ONNX file that ONNX Runtime can run: {first_line(problem)}; export it "
            "again"
        ) from None
    told = session.get_modelmeta().custom_metadata_map
    preparation, notes = _preparation_of(told, path)
    together, fixed = _input_of(session, path, preparation.channels)
    size = _size(fixed and fixed.height, resolution, told, path)
    preparation = replace(preparation, aspect=_aspect(fixed, size, aspect, preparation, path))
    classes = _told(told, "classes", path)
    logits = _onnx_pass(session, together, path)
    answer = logits(torch.zeros(1, preparation.channels, *preparation.image_size(size)))
    if answer.ndim != 2 or answer.shape[0] != 1:
        raise InvalidSetting(
            f"{path} answers one image with shape {tuple(answer.shape)}; a teacher gives logits of "
            "shape (1, classes)"
        )
    if classes is not None and len(classes) != answer.shape[1]:
        raise InvalidSetting(
            f"{path} names {len(classes)} classes and gives {answer.shape[1]} logits; export it "
            "again"
        )
    return Teacher(
        name=path.name,
        digest=_digest(path, {}, preparation, size),
        classes=None if classes is None else tuple(map(str, classes)),
        num_classes=answer.shape[1],
        resolution=size,
        preparation=preparation,
        logits=logits,
        features=None,
        notes=notes,
    )


def _input_of(session: Any, path: Path, channels: int) -> tuple[int | None, ImageSize | None]:
    """Images at once and their size; None where any will do.

    Raises:
        InvalidSetting: if it takes something else than images (N, `channels`, H, W) of float32.
    """
    inputs = session.get_inputs()
    shapes = [tuple(one.shape) for one in inputs]
    if len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(shapes[0]) == 4:
        images, of_image, *sides = (n if isinstance(n, int) else None for n in shapes[0])
        if of_image in (channels, None) and (None in sides) == (sides == [None, None]):
            return images, None if None in sides else ImageSize(*sides)
    taken = " and ".join(f"{one.type} {shape}" for one, shape in zip(inputs, shapes, strict=True))
    raise InvalidSetting(
        f"{path} takes {taken}; a teacher takes tensor(float) images of shape (N, {channels}, H, W)"
    )


def _size(side: int | None, asked: int | None, told: Mapping[str, str], path: Path) -> int:
    size = asked or side or _told(told, "resolution", path)
    if not isinstance(size, int) or size < 1:
        raise InvalidSetting(
            f"{path} takes images of any size and does not say which it was trained at; give "
            "--teacher-resolution"
        )
    if side not in (None, size):
        raise InvalidSetting(
            f"{path} takes images of {side} pixels, asked for {size}; leave --teacher-resolution "
            "out"
        )
    return size


def _aspect(
    fixed: ImageSize | None,
    height: int,
    asked: Aspect | None,
    preparation: Preparation,
    path: Path,
) -> Aspect:
    """Of the images that it sees.

    Args:
        fixed: the only size that it takes, if it takes but one.
        asked: what it is to be where it may be any.

    Raises:
        InvalidSetting: if that size has no aspect.
    """
    if fixed is None:
        return preparation.aspect if asked is None else asked
    for aspect in (preparation.aspect, asked or SQUARE):
        if image_size(height, aspect) == fixed:
            return aspect
    try:
        return aspect_of(Aspect(fixed.width, fixed.height))
    except InvalidSetting as problem:
        raise InvalidSetting(f"{path} takes images of {fixed} pixels: {problem}") from None


def _preparation_of(told: Mapping[str, str], path: Path) -> tuple[Preparation, tuple[str, ...]]:
    known = _told(told, "preparation", path)
    if known is None:
        return Preparation(mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION), (
            f"{path.name} does not say what pixels it expects; ImageNet's mean and deviation are "
            "taken",
        )
    try:
        names = {field.name for field in fields(Preparation)}
        return Preparation.from_dict({n: v for n, v in known.items() if n in names}), ()
    except (TypeError, AttributeError, InvalidSetting) as problem:
        raise InvalidSetting(f"{path}: preparation: {problem}; export it again") from None


def _told(told: Mapping[str, str], name: str, path: Path) -> Any:
    """What the file's metadata says in JSON; None if it does not."""
    try:
        return json.loads(told[name]) if name in told else None
    except (json.JSONDecodeError, RecursionError) as problem:
        raise InvalidSetting(f"{path}: {name}: no JSON: {problem}; export it again") from None


def _onnx_pass(session: Any, together: int | None, path: Path) -> Pass:
    name = session.get_inputs()[0].name

    def run(images: Tensor) -> Tensor:
        try:
            answer = session.run(None, {name: images.contiguous().numpy()})[0]
        except Exception as problem:  # ONNX Runtime has its own tree of errors
            raise InvalidSetting(
                f"{path} fails on images of shape {tuple(images.shape)}: {first_line(problem)}"
            ) from None
        return torch.from_numpy(answer).float()

    def in_fixed_numbers(images: Tensor) -> Tensor:
        assert together is not None
        lacking = -len(images) % together
        filled = torch.cat([images, images[-1:].expand(lacking, -1, -1, -1)])
        return torch.cat([run(part) for part in filled.split(together)])[: len(images)]

    return run if together is None else in_fixed_numbers


def _digest(
    file: str | Path, used: Mapping[str, Any], preparation: Preparation, resolution: int
) -> str:
    known = [file_digest(file), used, preparation.to_dict(), resolution]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]


def columns_of(teacher: Teacher, classes: Sequence[str]) -> tuple[list[int] | None, str | None]:
    """Which of a teacher's logits are those of the data's classes, and a sentence about it.

    Returns:
        None instead of columns where it knows none of them, and must get another classifier.

    Raises:
        InvalidSetting: if it knows some and not all of them.
    """
    known, count = teacher.classes, teacher.num_classes
    if known is None:
        if count != len(classes):
            return None, None
        return [*range(count)], (
            f"the teacher does not name its {count} classes: they are taken in the data's order, "
            f"{', '.join(classes[:5])}{', ...' if count > 5 else ''}"
        )
    places = {name: place for place, name in reversed([*enumerate(known)])}  # the first of a name
    missing = [name for name in classes if name not in places]
    if not missing:
        return [places[name] for name in classes], None
    if len(missing) == len(classes):
        return None, None
    raise InvalidSetting(
        f"the teacher {teacher.name} does not know {missing[0]!r}, one of the data's "
        f"{len(classes)} classes (it knows {', '.join(known[:5])}"
        f"{', ...' if count > 5 else ''}); train it on this data first, with autoscale train and "
        "--weights, or rename the class"
    )
