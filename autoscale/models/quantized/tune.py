"""Fine-tuning of an int8 network: its weights learn while all numbers are rounded to steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autoscale.datasets.data import ImageData, Images, classes_in, load
from autoscale.datasets.pictures.selection import Selection
from autoscale.errors import EvaluationFailed
from autoscale.models.inference.images import class_places, cut_groups
from autoscale.models.load import Model
from autoscale.models.quantized.calibrated import BATCH
from autoscale.models.quantized.in_loop import AS_BYTES
from autoscale.models.settings import QuantizeSettings
from autoscale.quantization.learning.fake import FakeQuantized
from autoscale.quantization.quantized import QuantizedGraph
from autoscale.training.evaluation.evaluate import evaluate
from autoscale.training.failures import TrainingFailed
from autoscale.training.fit import fit
from autoscale.training.recipe import Recipe
from autoscale.training.state import Snapshot
from autoscale.training.task import TrainingTask

#: How they learn, but for the epochs and the rate, which is in steps of int8.
RECIPE = Recipe(
    epochs=1,
    batch_size=32,
    optimizer="adamw",
    learning_rate=1.0,
    schedule="cosine",
    label_smoothing=0.05,
    ema_decay=0.98,
    crop="shift",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned:
    """An int8 network and how it came to be the best of its fine-tuning."""

    network: QuantizedGraph
    accuracies: tuple[float, ...]  # in int8 on validation images: before, and after each epoch
    best: int  # the epoch that was kept; 0 is before

    @property
    def which(self) -> str:
        """What was kept, in a sentence."""
        before, after = self.accuracies[0], self.accuracies[self.best]
        if self.best == 0:
            most = max(self.accuracies[1:])
            return (
                f"no epoch was better on the validation images ({before:.4f} before, {most:.4f} at "
                "best after), so what was before is kept"
            )
        return (
            f"epoch {self.best} of {len(self.accuracies) - 1} is kept: {after:.4f} on the "
            f"validation images, {before:.4f} before"
        )


def tune(model: Model, network: QuantizedGraph, data: str, settings: QuantizeSettings) -> Tuned:
    """Let an int8 network learn from the training images.

    The scales of weights and maps stay, so that what is trained is what the file will hold. The
    same arguments, thread count and machine give the same network.

    Args:
        model: the network in float, for its classes and its preparation of pictures.
        network: what calibration made of it.

    Raises:
        InvalidSetting: if the classes of the images are not the network's.
        DataProblem: if the images cannot be read.
        EvaluationFailed: if the training diverges or memory runs out.
    """
    seed = cut_seed(model, settings)
    groups = cut_groups(model, data, split="train", asked=settings.group_by)
    found = load(
        data,
        size=model.resolution,
        selection=Selection(seed=seed, test=False, group_by=groups),
        preparation=model.preparation,
    )
    train, validation = _labelled(found, model, data)
    task = TrainingTask(
        train=train,
        validation=validation,
        recipe=replace(RECIPE, epochs=settings.epochs, learning_rate=settings.learning_rate),
        resolution=model.resolution,
        seed=seed,
        evaluate_after=range(1, settings.epochs + 1),
        preparation=AS_BYTES,
    )
    return _best(network, task)


def cut_seed(model: Model, settings: QuantizeSettings) -> int:
    """Of the cut of data without splits: the one that is asked for, else the training's."""
    return settings.seed if settings.seed is not None else model.header.seed or 0


def _labelled(found: ImageData, model: Model, data: str) -> tuple[Images, Images]:
    """Images for training and validation, labelled by the network's logits."""
    places = class_places(model, classes_in(data), data)
    return (
        Images(found.train.pixels, places[found.train.labels]),
        Images(found.validation.pixels, places[found.validation.labels]),
    )


def _best(network: QuantizedGraph, task: TrainingTask) -> Tuned:
    module = FakeQuantized(network)
    before = evaluate(
        module,
        task.validation,
        resolution=task.resolution,
        preparation=AS_BYTES,
        batch_size=BATCH,
    )
    accuracies, best = [before], 0
    weights: dict[str, Tensor] = {}

    def keep(snapshot: Snapshot) -> None:
        nonlocal best, weights
        accuracy = snapshot.epochs[-1].accuracy
        assert accuracy is not None, "every epoch is evaluated"
        accuracies.append(accuracy)
        if accuracy > accuracies[best]:
            best = len(accuracies) - 1
            weights = {name: tensor.clone() for name, tensor in snapshot.weights.items()}

    try:
        with torch.random.fork_rng(devices=[]):
            fit(module, task, keep=keep)
    except TrainingFailed as problem:
        raise EvaluationFailed(f"fine-tuning in int8: {problem}") from None
    if best:
        module.load_state_dict(weights)
        network = module.learned()
    return Tuned(network=network, accuracies=tuple(accuracies), best=best)
