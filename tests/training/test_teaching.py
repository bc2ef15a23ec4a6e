from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.training.batches import Batch, batches
from autoscale.training.loss.losses import CrossEntropy
from autoscale.training.recipe import RECIPES, Recipe
from autoscale.training.state import Snapshot
from autoscale.training.task import TrainingTask
from autoscale.training.teacher.crops import FixedCrops, scaled
from autoscale.training.teacher.teaching import UNLABELLED, Teaching
from tests.training.test_fit import RECIPE, convnet, linear, run, stripes, weights

SHIFTED = replace(RECIPES["proxy"], batch_size=8, ema_decay=0.0)


def square(side: int) -> ImageSize:
    return ImageSize(side, side)


SMALL = ImageSize(8, 8)


def fixed(
    recipe: Recipe = RECIPE, *, count: int = 3, size: ImageSize = SMALL, seed: int = 0
) -> FixedCrops:
    return FixedCrops(recipe=recipe, size=size, count=count, seed=seed)


def taught(
    answers: Mapping[int, NDArray[np.float32]],
    crops: FixedCrops,
    *,
    weight: float = 0.7,
    temperature: float = 2.0,
) -> Teaching:
    return Teaching(crops=crops, answers=answers, weight=weight, temperature=temperature)


def random_answers(crops: FixedCrops, images: int, seed: int = 0) -> dict[int, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return {n: random.normal(size=(images, 2)).astype(np.float32) * 3 for n in crops.used}


# The loss


@given(st.floats(0, 1), st.floats(0.2, 8), st.floats(0, 0.5), st.integers(0, 2**32), st.booleans())
def test_the_gradient_is_that_of_the_formula(
    weight: float, heat: float, smoothing: float, seed: int, some_unlabelled: bool
) -> None:
    random = np.random.default_rng(seed)
    student, teacher = random.normal(size=(2, 5, 4)) * 2
    labels = random.integers(0, 4, 5)
    if some_unlabelled:
        labels[:2] = UNLABELLED
    logits = torch.tensor(student, requires_grad=True)
    teaching = taught({}, fixed(), weight=weight, temperature=heat)
    loss = teaching.loss(
        logits, torch.tensor(labels), torch.tensor(teacher), CrossEntropy(smoothing)
    )
    loss.backward()

    def softmax(z: NDArray[Any]) -> NDArray[Any]:
        powers = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    told = labels != UNLABELLED
    share = np.where(told, weight, 1.0)[:, None]
    wanted = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = share * heat * (softmax(student / heat) - softmax(teacher / heat))
    expected += (1 - share) * (softmax(student) - wanted)
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad, expected / 5, atol=1e-5)

    hot, cold = softmax(teacher / heat), softmax(student / heat)
    divergence = heat**2 * (hot * (np.log(hot) - np.log(cold))).sum(1, keepdims=True)
    entropy = -(wanted * np.log(softmax(student))).sum(1, keepdims=True)
    assert loss.item() == pytest.approx((share * divergence + (1 - share) * entropy).mean(), 1e-5)


def test_a_student_that_answers_as_the_teacher_has_nothing_left_to_learn_from_it() -> None:
    logits = torch.randn(6, 3, requires_grad=True)
    nobody = torch.full((6,), UNLABELLED)
    loss = taught({}, fixed()).loss(logits, nobody, logits.detach(), CrossEntropy(0.1))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize(("field", "value"), [("weight", -0.1), ("weight", 1.1)])
def test_a_weight_outside_0_to_1_is_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidSetting, match=r"\[0, 1\]"):
        taught({}, fixed(), **{field: value})
    with pytest.raises(InvalidSetting, match="above 0"):
        taught({}, fixed(), temperature=0)


# The crops


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 3))
def test_every_set_is_seen_before_one_comes_again(count: int, seed: int, turn: int) -> None:
    crops = fixed(count=count, seed=seed)
    epochs = range(1 + turn * count, 1 + (turn + 1) * count)
    assert Counter(map(crops.of_epoch, epochs)) == Counter(range(count))


@pytest.mark.parametrize("epochs", [1, 2, 5, 12])
def test_the_sets_used_are_those_of_the_epochs(epochs: int) -> None:
    crops = fixed(replace(RECIPE, epochs=epochs), count=5)
    assert set(crops.used) == {crops.of_epoch(epoch) for epoch in range(1, epochs + 1)}


SIZES = st.builds(ImageSize, st.integers(4, 40), st.integers(4, 40))


@given(st.sampled_from(["shift", "random-resized"]), SIZES, SIZES)
def test_windows_lie_where_they_lie_at_another_size(
    crop: Any, drawn: ImageSize, to: ImageSize
) -> None:
    recipe = replace(RECIPE, crop=crop, shift=0.2, crop_scale_min=0.1, flip=True)
    crops = fixed(recipe, size=drawn)
    (there, one), (here, other) = (crops.windows(1, 30, of=size) for size in (drawn, to))
    np.testing.assert_array_equal(one, other)
    edges, wanted = (
        np.concatenate([w[:, :2], w[:, :2] + w[:, 2:]], axis=1) / (*size, *size)
        for w, size in ((here, to), (there, drawn))
    )
    most = (1 if crop == "random-resized" else 0.5) / np.array([*to, *to])
    assert (np.abs(edges - wanted) <= most + 1e-9).all()
    if crop == "shift":
        assert (here[:, 2:] == to).all()
    else:
        assert here[:, :2].min() >= 0
        assert (here[:, :2] + here[:, 2:] <= to).all()
        assert here[:, 2:].min() >= 1


def test_nothing_moves_at_the_same_size() -> None:
    windows = np.array([[-1, 2, 8, 8], [3, 0, 1, 5]], dtype=np.int32)
    assert scaled(windows, square(8), square(8)) is windows
    np.testing.assert_array_equal(scaled(windows, square(8), square(16)), 2 * windows)


def test_crops_of_the_first_images_do_not_depend_on_how_many_follow() -> None:
    crops = fixed(SHIFTED, size=square(32))
    many, some = (crops.windows(2, images, of=square(32)) for images in (2500, 1030))
    np.testing.assert_array_equal(many[0][:1030], some[0])
    np.testing.assert_array_equal(many[1][:1030], some[1])
    assert not np.array_equal(many[0][:1024], many[0][1024:2048])


def test_sets_and_seeds_differ() -> None:
    drawn = [
        fixed(SHIFTED, size=square(32), seed=seed).windows(number, 50, of=square(32))[0]
        for seed in (0, 1)
        for number in (0, 1)
    ]
    assert len({windows.tobytes() for windows in drawn}) == 4


# The batches


def numbered(count: int, size: int = 8) -> Images:
    """Each image says its number, in all pixels of its left half."""
    pixels = np.zeros((count, size, size, 3), dtype=np.uint8)
    pixels[:, :, : size // 2] = np.arange(1, count + 1)[:, None, None, None]
    return Images(pixels, np.arange(count) % 2)


def test_a_batch_has_the_crops_that_the_teacher_answered() -> None:
    recipe = replace(RECIPE, epochs=4, flip=True)
    crops, images = fixed(recipe), numbered(21)
    answers = {
        n: np.stack([np.arange(21), np.full(21, n)], 1).astype(np.float32) for n in crops.used
    }
    task = TrainingTask(
        train=images,
        validation=images,
        recipe=recipe,
        resolution=8,
        seed=5,
        teaching=taught(answers, crops),
    )
    for epoch in range(1, 5):
        number, seen = crops.of_epoch(epoch), []
        _, mirrored = crops.windows(number, 21, of=square(8))
        for batch in batches(task, epoch):
            assert batch.answers is not None
            rows = batch.answers[:, 0].long()
            assert (batch.answers[:, 1] == number).all()
            torch.testing.assert_close(batch.pixels.amax((1, 2, 3)).long() - 1, rows)
            left = batch.pixels[:, 0, 0, 0] == 0  # where it is mirrored
            np.testing.assert_array_equal(left.numpy(), mirrored[rows.numpy()])
            torch.testing.assert_close(batch.labels, rows % 2)
            seen += rows.tolist()
        assert len({*seen}) == len(seen) == 16


def test_a_batch_splits_with_its_answers() -> None:
    batch = Batch(torch.arange(5)[:, None], torch.arange(5), torch.arange(10.0).view(5, 2))
    parts = batch.split(2)
    assert [len(part.labels) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([part.answers for part in parts]), batch.answers)
    assert [part.answers for part in batch._replace(answers=None).split(3)] == [None, None]


# The training


def test_a_student_learns_what_the_teacher_says_and_not_what_the_labels_say() -> None:
    """Labels are of no use: they are drawn. The teacher tells bright above from bright below."""
    right = stripes(120)
    drawn = Images(right.pixels, np.random.default_rng(0).integers(0, 2, 120))
    recipe = replace(RECIPE, epochs=6, learning_rate=0.005)
    crops = fixed(recipe)
    answers = {n: (8 * np.eye(2)[right.labels]).astype(np.float32) for n in crops.used}
    alone = run(linear(), recipe, train=drawn)
    teaching = taught(answers, crops, weight=0.9)
    found = run(linear(), recipe, train=drawn, teaching=teaching)
    assert found.accuracy > 0.9 > alone.accuracy
    nameless = Images(right.pixels, np.full(120, UNLABELLED))
    assert run(linear(), recipe, train=nameless, teaching=teaching).accuracy > 0.9


@pytest.mark.parametrize("changes", [{"crop": "random-resized"}, {"start_size": 0.5}])
def test_a_taught_training_that_was_interrupted_goes_on_to_the_same_bits(
    changes: dict[str, Any],
) -> None:
    recipe = replace(SHIFTED, epochs=5, **changes)
    crops = fixed(recipe, count=2, size=square(12))
    options: dict[str, Any] = {"teaching": taught(random_answers(crops, 40), crops), "seed": 2}
    whole, broken, last = convnet(), convnet(), convnet(1)
    expected = run(whole, recipe, **options)
    kept: list[Snapshot] = []

    def keep(snapshot: Snapshot) -> None:
        copied = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
        kept.append(replace(snapshot, tensors=copied))

    run(broken, recipe, keep=keep, on_epoch=lambda epoch: epoch.number == 3, **options)
    found = run(last, recipe, resume=kept[-1], **options)
    assert [epoch.loss for epoch in found.epochs] == [epoch.loss for epoch in expected.epochs]
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(last), strict=True))


def test_images_without_labels_or_answers_are_refused() -> None:
    images = stripes(20)
    nameless = Images(images.pixels, np.where(np.arange(20) < 3, UNLABELLED, images.labels))
    with pytest.raises(DataProblem, match="3 of 20 images have no label"):
        run(linear(), train=nameless)
    crops = fixed()
    with pytest.raises(DataProblem, match="answered 19 crops of set"):
        run(linear(), train=images, teaching=taught(random_answers(crops, 19), crops))
