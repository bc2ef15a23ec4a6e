"""What is done to training images besides cutting them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.errors import InvalidSetting
from autoscale.training.augmentation.augment import augmented
from autoscale.training.augmentation.mixing import box_of, mixed
from autoscale.training.augmentation.operations import OPERATIONS, changed
from autoscale.training.augmentation.policy import (
    _RAND,
    _TRIVIAL,
    RandAugment,
    TrivialAugment,
    policy_named,
)
from autoscale.training.batches import Batch, batches
from autoscale.training.loss.losses import CrossEntropy, Weighted
from autoscale.training.process_group import ProcessGroup
from autoscale.training.recipe import Recipe
from autoscale.training.task import Runtime, TrainingTask

PLAIN = Recipe(epochs=4, batch_size=8, learning_rate=0.1, crop="none", flip=False)
#: One after the other, each alone and all together.
ALTERING: tuple[dict[str, Any], ...] = (
    {"augment": "rand:2:9"},
    {"augment": "trivial"},
    {"color_jitter": 0.4},
    {"erasing": 0.5},
    {"mixup": 0.4},
    {"cutmix": 1.0},
)
ALL: dict[str, Any] = {
    "augment": "rand:2:9", "color_jitter": 0.4, "erasing": 0.5, "mixup": 0.4, "cutmix": 1.0
}  # fmt: skip


def photos(count: int, side: int = 16, channels: int = 3) -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2)


def task(recipe: Recipe, count: int = 24, channels: int = 3, **options: Any) -> TrainingTask:
    images = Images(photos(count, channels=channels), np.arange(count) % 5)
    given = {"resolution": 16, "seed": 3, "validation": images, **options}
    return TrainingTask(train=images, recipe=recipe, **given)


def seen(recipe: Recipe, epoch: int = 1, **options: Any) -> list[Batch]:
    return list(batches(task(recipe, **options), epoch))


def same(one: Batch, other: Batch) -> bool:
    mixtures = (one.mixture is None) == (other.mixture is None)
    if mixtures and one.mixture is not None and other.mixture is not None:
        mixtures = all(map(torch.equal, one.mixture, other.mixture))
    return (
        torch.equal(one.pixels, other.pixels) and torch.equal(one.labels, other.labels) and mixtures
    )


# Policies


@given(st.integers(1, 14), st.floats(0.01, 10))
def test_a_policy_is_written_as_it_is_read(operations: int, strength: float) -> None:
    policy = RandAugment(operations=operations, strength=strength)
    assert policy_named(policy.text) == policy
    assert policy_named("trivial") == TrivialAugment()
    assert policy_named("none") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auto", "augment must be none, rand:N:M .* or trivial; got 'auto'"),
        ("rand:2", "got 'rand:2'"),
        ("rand:x:9", "got 'rand:x:9'"),
        ("rand:2:nan", "got 'rand:2:nan'"),
        ("rand:0:9", "augment takes 1 to 14 operations an image, as in rand:2:9; got 0"),
        ("rand:2:11", "strength above 0 and at most 10, as in rand:2:9; got 11"),
        ("rand:2:0", "strength above 0 and at most 10, as in rand:2:9; got 0"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        replace(PLAIN, augment=text)


def test_a_recipe_names_equal_policies_equally() -> None:
    assert replace(PLAIN, augment="rand:02:9.0") == replace(PLAIN, augment="rand:2:9")


def test_policies_have_the_fourteen_operations_of_the_papers() -> None:
    assert len(_RAND) == len(_TRIVIAL) == 14
    assert set(_RAND) == set(_TRIVIAL) == set(OPERATIONS)


@pytest.mark.parametrize("policy", [RandAugment(operations=2, strength=9), TrivialAugment()])
@pytest.mark.parametrize("channels", [1, 3])
def test_operations_are_equally_frequent_and_grey_images_get_none_of_saturation(
    policy: RandAugment | TrivialAugment, channels: int
) -> None:
    random = np.random.default_rng(0)
    drawn = policy.drawn(4000, channels=channels, share=1, random=random)
    found = Counter(name for steps in drawn for name, _ in steps)
    expected = {*_RAND} - ({"saturation"} if channels == 1 else set())
    assert set(found) == expected
    each = sum(found.values()) / len(expected)
    assert all(abs(count - each) < 5 * each**0.5 for count in found.values())


def test_strengths_are_those_of_the_papers_tables_and_grow_with_the_share() -> None:
    random = np.random.default_rng(0)
    half = dict(
        step
        for steps in RandAugment(operations=2, strength=10).drawn(
            500, channels=3, share=0.5, random=random
        )
        for step in steps
    )
    # Cubuk et al. 2019 (AutoAugment), table 6, at half of the way.
    assert abs(half["rotate"]) == pytest.approx(15)
    assert abs(half["shear-x"]) == pytest.approx(0.15)
    assert abs(half["translate-y"]) == pytest.approx(75 / 331)
    assert half["posterize"] == pytest.approx(6)
    assert half["solarize"] == pytest.approx(128)
    assert abs(half["brightness"]) == pytest.approx(0.45)
    found = [
        step
        for steps in TrivialAugment().drawn(6000, channels=3, share=1, random=random)
        for step in steps
    ]
    turned = {round(degrees, 6) for name, degrees in found if name == "rotate"}
    assert turned <= {round(sign * 135 * n / 30, 6) for n in range(31) for sign in (-1, 1)}
    # Müller & Hutter 2021, the wide space.
    assert max(turned) == 135
    assert min(bits for name, bits in found if name == "posterize") == 2


# Operations


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name in _RAND if name not in ("autocontrast",
                                                                       "equalize")])  # fmt: skip
def test_the_weakest_of_an_operation_changes_nothing(name: str, channels: int) -> None:
    image = photos(1, channels=channels)[0]
    weakest = _RAND[name].amount(0, 1)
    assert np.array_equal(changed(image, [(name, weakest)]), image)


def test_a_translation_moves_whole_pixels_and_grey_comes_in() -> None:
    image = photos(1)[0]
    right = changed(image, [("translate-x", -0.25)])
    assert np.array_equal(right[:, 4:], image[:, :-4])
    assert (right[:, :4] == 128).all()
    up = changed(image, [("translate-y", 0.25)])
    assert np.array_equal(up[:-4], image[4:])
    assert (up[-4:] == 128).all()


def test_a_shear_is_about_the_middle_and_moves_each_line_by_its_distance() -> None:
    image = np.zeros((16, 16, 1), np.uint8)
    image[:, 8] = 255  # an upright line
    found = changed(image, [("shear-x", 0.5)])[:, :, 0]
    brightest = [int(np.where(row == 128, 0, row).argmax()) for row in found]
    assert brightest[7] in (7, 8)
    assert brightest[2] - brightest[12] == pytest.approx(5, abs=1)


def test_brightness_and_solarization_compute_what_they_say() -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    assert (changed(image, [("brightness", 0.5)]) == 150).all()
    assert (changed(image, [("brightness", -0.5)]) == 50).all()
    assert (changed(image, [("solarize", 90)]) == 155).all()
    assert (changed(image, [("solarize", 101)]) == 100).all()
    assert (changed(image, [("posterize", 3)]) == 0b01100000).all()
    assert (changed(image, [("brightness", 0.5), ("solarize", 120)]) == 105).all()


# Colours and erasing


def test_colours_of_a_grey_picture_have_no_saturation_to_change() -> None:
    grey = np.repeat(photos(4, channels=1), 3, axis=3)
    recipe = replace(PLAIN, color_jitter=0.5)
    found = augmented(tensor(grey), recipe, share=1, random=np.random.default_rng(1))
    assert int((found[:, 0].int() - found[:, 2].int()).abs().max()) <= 1
    one = augmented(tensor(grey[..., :1]), recipe, share=1, random=np.random.default_rng(1))
    assert int((found[:, :1].int() - one.int()).abs().max()) <= 1
    assert not torch.equal(one, tensor(grey[..., :1]))


@given(st.floats(0.01, 1))
def test_jitter_keeps_a_plain_image_plain_and_within_its_strength(strength: float) -> None:
    plain = tensor(np.full((6, 4, 4, 3), 100, np.uint8))
    recipe = replace(PLAIN, color_jitter=strength)
    found = augmented(plain, recipe, share=1, random=np.random.default_rng(2)).float()
    assert float((found.amax((1, 2, 3)) - found.amin((1, 2, 3))).max()) <= 1
    assert float((found - 100).abs().max()) <= 100 * strength + 0.5


def test_erasing_leaves_noise_in_rectangles_of_the_papers_sizes() -> None:
    black = tensor(np.zeros((400, 32, 32, 3), np.uint8))
    recipe = replace(PLAIN, erasing=0.5)
    found = augmented(black, recipe, share=1, random=np.random.default_rng(0))
    erased = (found > 0).any(1).flatten(1).sum(1)
    hit = erased[erased > 0]
    assert 160 < len(hit) < 240
    # Zhong et al. 2020: 2 % to 40 % of the area; of noise some pixels are black by chance.
    assert float(hit.min()) > 0.01 * 32**2
    assert float(hit.max()) < 0.45 * 32**2
    rows, columns = ((found > 0).any(1).any(side).sum(1) for side in (2, 1))
    whole = (rows * columns)[erased > 0]
    assert (hit > 0.95 * whole).all()
    weaker = augmented(black, recipe, share=0.2, random=np.random.default_rng(0))
    assert 20 < int((weaker > 0).any(1).flatten(1).any(1).sum()) < 60


# Mixtures


@given(st.floats(0.05, 4), st.integers(0, 1000))
def test_mixup_is_the_weighted_mean_of_two_images_to_the_nearest_number(
    alpha: float, seed: int
) -> None:
    pixels, labels = tensor(photos(6, 8)), torch.arange(6)
    recipe = replace(PLAIN, mixup=alpha)
    images, mixture = mixed(pixels, labels, recipe, share=1, random=np.random.default_rng(seed))
    kept = float(mixture.shares[0])
    assert (mixture.shares == kept).all()
    expected = kept * pixels.double() + (1 - kept) * pixels[mixture.others].double()
    assert float((images.double() - expected).abs().max()) <= 0.5 + 1e-3
    assert images.is_contiguous(memory_format=torch.channels_last)


@given(st.floats(0.05, 4), st.integers(0, 1000))
def test_cutmix_counts_the_pixels_of_both_images(alpha: float, seed: int) -> None:
    pixels = torch.arange(1, 7, dtype=torch.uint8)[:, None, None, None].expand(6, 1, 9, 9)
    recipe = replace(PLAIN, cutmix=alpha)
    images, mixture = mixed(
        pixels, torch.arange(1, 7), recipe, share=1, random=np.random.default_rng(seed)
    )
    for image, own, other, share in zip(images, range(1, 7), *mixture, strict=True):
        assert set(image.unique().tolist()) <= {own, int(other)}
        if own != int(other):
            assert float((image == own).float().mean()) == pytest.approx(float(share))


@given(
    st.floats(0, 1),
    st.builds(ImageSize, st.integers(1, 64), st.integers(1, 64)),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
)
def test_a_box_lies_inside_and_has_at_most_its_area(
    kept: float, images: ImageSize, down: float, across: float
) -> None:
    top, bottom, left, right = box_of(kept, images, np.array([down, across]))
    assert 0 <= top <= bottom <= images.height
    assert 0 <= left <= right <= images.width
    assert bottom - top <= images.height * (1 - kept) ** 0.5 + 1
    assert right - left <= images.width * (1 - kept) ** 0.5 + 1


def test_of_two_mixtures_each_batch_has_one() -> None:
    recipe = replace(PLAIN, mixup=1.0, cutmix=1.0)
    pixels = tensor(np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)]))
    kinds = Counter[bool]()
    for seed in range(200):
        random = np.random.default_rng(seed)
        images, mixture = mixed(pixels, torch.tensor([0, 1]), recipe, share=1, random=random)
        if mixture.others.tolist() == [1, 0] and 0.1 < float(mixture.shares[0]) < 0.9:
            kinds[set(images.unique().tolist()) <= {0, 200}] += 1
    assert kinds[True] > 20
    assert kinds[False] > 20


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_a_mixture_is_that_of_the_mixed_distribution(smoothing: float) -> None:
    logits, random = torch.randn(5, 4, dtype=torch.float64), np.random.default_rng(0)
    first, second = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 1, 3, 0, 2])
    shares = torch.from_numpy(random.random(5))
    one_hot = [functional.one_hot(labels, 4).double() for labels in (first, second)]
    soft = shares[:, None] * one_hot[0] + (1 - shares[:, None]) * one_hot[1]
    expected = functional.cross_entropy(logits, soft, label_smoothing=smoothing)
    found = CrossEntropy(smoothing).mixed(logits, first, second, shares)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_class_weights_weigh_each_part_of_a_mixture() -> None:
    logits = torch.zeros(1, 2)
    loss = Weighted(CrossEntropy(), torch.tensor([0.5, 2.0]))
    found = loss.mixed(logits, torch.tensor([0]), torch.tensor([1]), torch.tensor([0.25]))
    assert found.item() == pytest.approx((0.25 * 0.5 + 0.75 * 2) * np.log(2), rel=1e-6)


# Batches


@pytest.mark.parametrize("fields", [*ALTERING, ALL])
def test_batches_depend_on_seed_and_epoch_alone(fields: dict[str, Any]) -> None:
    recipe = replace(PLAIN, **fields)
    one, again = seen(recipe, 2), seen(recipe, 2)
    assert all(map(same, one, again))
    assert not all(map(same, one, seen(recipe, 3)))
    assert not all(map(same, one, seen(recipe, 2, seed=4)))


@pytest.mark.parametrize("fields", [*ALTERING, ALL])
@pytest.mark.parametrize("crop", ["random-resized", "shift"])
def test_order_and_crops_are_those_of_the_recipe_without(fields: dict[str, Any], crop: Any) -> None:
    recipe = replace(PLAIN, crop=crop, flip=True)
    usual, altered = seen(recipe), seen(replace(recipe, **fields))
    assert [b.labels.tolist() for b in altered] == [b.labels.tolist() for b in usual]
    assert not all(
        torch.equal(one.pixels, other.pixels) for one, other in zip(usual, altered, strict=True)
    )
    for one, other in zip(usual, altered, strict=True):
        assert one.pixels.shape == other.pixels.shape
        assert other.pixels.dtype == torch.uint8


@pytest.mark.parametrize("fields", [*ALTERING, ALL])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images_and_small_ones_are_altered_at_the_size_that_is_seen(
    fields: dict[str, Any], channels: int
) -> None:
    recipe = replace(PLAIN, start_size=0.5, **fields)
    first = seen(recipe, channels=channels)[0]
    assert first.pixels.shape == (8, channels, 8, 8)
    assert seen(recipe, 4, channels=channels)[0].pixels.shape == (8, channels, 16, 16)


def test_augmentation_grows_with_what_regularises() -> None:
    recipe = replace(PLAIN, color_jitter=1.0, start_regularisation=0.1)

    def moved(epoch: int) -> float:
        usual = seen(replace(recipe, color_jitter=0.0), epoch)
        pairs = zip(usual, seen(recipe, epoch), strict=True)
        return float(
            np.mean([(a.pixels.float() - b.pixels.float()).abs().mean() for a, b in pairs])
        )

    assert moved(1) < moved(2) < moved(4)


def test_each_process_alters_its_own_part_of_a_batch() -> None:
    recipe = replace(PLAIN, mixup=1.0)
    asked = task(recipe)
    parts = [
        list(batches(asked, 1, Runtime(peers=ProcessGroup(rank=rank, size=2)))) for rank in (0, 1)
    ]
    for one, other in zip(*parts, strict=True):
        assert len(one.labels) == len(other.labels) == 4
        for part in (one, other):
            assert part.mixture is not None
            assert sorted(part.mixture.others.tolist()) == sorted(part.labels.tolist())
        assert one.mixture is not None
        assert other.mixture is not None
        assert not torch.equal(one.mixture.shares, other.mixture.shares)


def test_a_batch_is_split_with_its_mixture() -> None:
    whole = seen(replace(PLAIN, mixup=1.0))[0]
    parts = whole.split(3)
    assert [len(part.labels) for part in parts] == [3, 3, 2]
    joined = [part.mixture for part in parts]
    assert whole.mixture is not None
    for place, tensor_ in enumerate(whole.mixture):
        assert torch.equal(torch.cat([one[place] for one in joined if one]), tensor_)


# What does not go together


@pytest.mark.parametrize("name", ["augment", "color_jitter"])
def test_what_knows_colours_refuses_images_of_other_channels(name: str) -> None:
    recipe = replace(PLAIN, **{name: ALL[name]})
    with pytest.raises(InvalidSetting, match=f"{name} .* these have 2 channels; leave it out"):
        task(recipe, channels=2)
    others = replace(PLAIN, erasing=1.0, mixup=1.0, cutmix=1.0)
    assert seen(others, channels=2)[0].pixels.shape[1] == 2


@examples(max_examples=20)
@given(st.sampled_from([one for one in ALTERING if "augment" not in one]), st.integers(0, 5))
def test_whole_numbers_in_float32_are_altered_as_bytes_are(
    fields: dict[str, Any], seed: int
) -> None:
    """Images on a graphics card are such numbers; for policies they are cut out on the CPU."""
    recipe = replace(PLAIN, **fields)
    pixels = tensor(photos(8))

    def all_of(images: Tensor) -> Tensor:
        random = np.random.default_rng(seed)
        images = augmented(images, recipe, share=1, random=random)
        if recipe.mixing:
            images, _ = mixed(images, torch.arange(8), recipe, share=1, random=random)
        return images

    assert torch.equal(all_of(pixels).float(), all_of(pixels.float()))
