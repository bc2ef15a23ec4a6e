"""Weights moved into another shape: by what the networks answer, wherever that can be said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.style import STYLES
from autoscale.errors import InvalidSetting
from autoscale.network.build import Network, build
from autoscale.network.inheritance.correspondence import KINDRED, evenly, matched_stages
from autoscale.network.inheritance.inherit import Share, inherit
from autoscale.network.inheritance.recalibrate import recalibrate
from autoscale.network.naming import lukemelas_names
from tests.strategies import heads, stages, stems

#: In the second stage both gates are one channel wide, however wide their inputs are.
SMALL = Architecture(
    resolution=16,
    stem=Stem(width=8, stride=1, activation="relu6"),
    stages=(
        Stage(width=8, depth=2, activation="relu6"),  # its first shortcut spans the stem's stream
        Stage(width=12, depth=2, stride=2, expand_ratio=3, se_ratio=0.08, activation="silu"),
        Stage(block="separable", width=16, depth=2, kernel=5, stride=2, activation="relu"),
    ),
    head=Head(width=20, activation="hswish"),
    num_classes=5,
)


def kindred() -> st.SearchStrategy[Architecture]:
    """Designs that inherit from each other."""
    return st.builds(
        Architecture,
        resolution=st.just(16),
        stem=stems.filter(lambda stem: stem.kernel % 2 == 1 and stem.norm == "batch"),
        stages=st.lists(stages(KINDRED), min_size=1, max_size=3).map(tuple),
        head=heads.filter(lambda head: head.norm != "layer"),
        num_classes=st.integers(2, 6),
    )


def trained(architecture: Architecture, *, seed: int = 0, **options: Any) -> Network:
    """A network whose every number is its own, as after a training."""
    torch.manual_seed(seed)
    network = build(architecture, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.2, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.num_batches_tracked += 7
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias)
    return network.eval()


def images(count: int = 6, resolution: int = 16) -> Tensor:
    return torch.randn(count, 3, resolution, resolution, generator=torch.Generator().manual_seed(1))


def answers(network: nn.Module, pixels: Tensor | None = None) -> Tensor:
    with torch.inference_mode():
        return network.eval()(images() if pixels is None else pixels)


def staged(architecture: Architecture, number: int, **fields: Any) -> Architecture:
    """The design with other fields in the stage of that number, from 1."""
    row = [*architecture.stages]
    row[number - 1] = replace(row[number - 1], **fields)
    return replace(architecture, stages=tuple(row))


def widened(architecture: Architecture, by: int) -> Architecture:
    """Every stream wider by as much, so that shortcuts stay where they are."""
    return replace(
        architecture,
        stem=replace(architecture.stem, width=architecture.stem.width + by),
        stages=tuple(replace(stage, width=stage.width + by) for stage in architecture.stages),
    )


# Into itself


@given(architecture=kindred(), channels=st.sampled_from(["even", "norm"]))
@settings(max_examples=25)
def test_a_network_into_its_own_shape_is_bit_equal(
    architecture: Architecture, channels: Any
) -> None:
    state = trained(architecture).state_dict()
    found = inherit(state, architecture, architecture, channels=channels)
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert found.share == 1.0


def test_images_change_nothing_where_nothing_is_cut() -> None:
    source = trained(SMALL)
    for larger in (SMALL, widened(SMALL, 4)):
        network = inherit(
            source.state_dict(), SMALL, larger, channels="rebuild", images=images()
        ).network
        assert network.training
        assert (answers(network) - answers(source)).abs().max() < 1e-4


def test_the_same_arguments_give_the_same_bits_and_leave_the_random_state_alone() -> None:
    state = trained(SMALL).state_dict()
    before = torch.get_rng_state()
    first, second = (
        inherit(state, SMALL, widened(SMALL, 4), seed=3).network.state_dict() for _ in range(2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = inherit(state, SMALL, widened(SMALL, 4), seed=4).network.state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_hidden_layer_of_the_head_goes_along_where_both_have_one() -> None:
    for norm in ("none", "batch"):
        design = replace(SMALL, head=Head(width=20, activation="hswish", hidden=12, norm=norm))  # type: ignore[arg-type]
        source = trained(design)
        wider = replace(widened(design, 3), head=replace(design.head, width=33, hidden=15))
        found = inherit(source.state_dict(), design, wider)
        assert (answers(found.network) - answers(source)).abs().max() < 1e-4
        assert found.shares[-1].part == "classifier"
        assert found.shares[-1].inherited == 12 * 5 + 5
        *_, head, classifier = inherit(source.state_dict(), design, SMALL).shares
        assert head.share == 1  # the convolution before the pooling
        assert classifier.share == 0  # which reads other things


def test_a_mobilenet_v3_grows_into_a_wider_and_deeper_one() -> None:
    design = replace(
        SMALL,
        stages=(
            Stage(block="mobilenet-v3", width=8, depth=2, activation="relu", se_ratio=0.25),
            Stage(block="mobilenet-v3", width=16, stride=2, expand_ratio=2.5, activation="hswish"),
            Stage(
                block="mobilenet-v3", width=16, depth=2, kernel=5, expand_ratio=3, se_ratio=0.25,
                activation="hswish",
            ),
        ),
        head=Head(width=24, activation="hswish", hidden=16),
    )  # fmt: skip
    larger = staged(widened(design, 8), 3, depth=3)
    larger = staged(larger, 2, se_ratio=0.25)
    source = trained(design)
    found = inherit(source.state_dict(), design, larger)
    assert (answers(found.network) - answers(source)).abs().max() < 1e-4
    assert 0.1 < found.share < 1


# Growing


GROWTHS = {
    "a wider stem and stages": widened(SMALL, 3),
    "a wider head": replace(SMALL, head=replace(SMALL.head, width=33)),
    "higher expansion": staged(SMALL, 2, expand_ratio=5),
    "larger kernels": staged(
        staged(replace(SMALL, stem=replace(SMALL.stem, kernel=5)), 2, kernel=7), 3, kernel=7
    ),
    "deeper inverted bottlenecks": staged(staged(SMALL, 1, depth=3), 2, depth=4),
    "deeper separable blocks": staged(SMALL, 3, depth=4),
    "new gates": staged(staged(SMALL, 1, se_ratio=0.5), 3, se_ratio=0.5),
    "wider gates": staged(SMALL, 2, se_ratio=0.5),
}
GROWTHS["all at once"] = staged(
    staged(
        replace(widened(SMALL, 3), head=replace(SMALL.head, width=33)),
        2, expand_ratio=5, kernel=7, depth=4, se_ratio=0.5,
    ),
    3, kernel=7, depth=3, se_ratio=0.5,
)  # fmt: skip


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("larger", GROWTHS.values(), ids=GROWTHS)
def test_growth_loses_nothing(larger: Architecture, padding: Any) -> None:
    style = STYLES["tf"] if padding == "same" else STYLES["autoscale"]
    source = trained(SMALL, **style.options)
    found = inherit(source.state_dict(), SMALL, larger, style=style)
    assert (answers(found.network) - answers(source)).abs().max() < 1e-4
    assert 0.1 < found.share < 1
    # So also by the statistics of a batch.
    with torch.no_grad():
        differences = found.network.train()(images()) - source.train()(images())
    assert differences.abs().max() < 1e-4


@pytest.mark.parametrize("larger", GROWTHS.values(), ids=GROWTHS)
def test_what_has_grown_learns(larger: Architecture) -> None:
    """All moves within three steps: nothing is stuck between two zeros."""
    network = inherit(trained(SMALL).state_dict(), SMALL, larger).network
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD(network.train().parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images()), torch.arange(6) % 5).backward()
        optimizer.step()
    still = {name for name, p in network.named_parameters() if torch.equal(p, before[name])}
    assert still <= {"stages.0.1.branch.project.1.bias"}  # the next norm subtracts it again


# Cutting


def silenced(network: Network, dropped: dict[str, Tensor]) -> Network:
    """The network with everything that writes or reads the dropped channels set to 0.

    `dropped` names, by the beginning of a layer's name and `rows` or `columns`, channels.
    """
    state = network.state_dict()
    for place, channels in dropped.items():
        layer, _, side = place.rpartition(" ")
        if side == "columns":
            state[f"{layer}.weight"][:, channels] = 0
        else:
            for leaf in ("weight", "bias"):
                state[f"{layer[:-1]}1.{leaf}"][channels] = 0
    return network


def cut_design(width: int = 6, hidden: int = 2) -> Architecture:
    """SMALL with every axis narrower; channels of one stream stay together."""
    smaller = staged(staged(SMALL, 1, width=width), 2, width=9, expand_ratio=hidden)
    smaller = staged(smaller, 3, width=12)
    return replace(
        smaller, stem=replace(SMALL.stem, width=width), head=replace(SMALL.head, width=15)
    )


def dropped_of(kept: dict[str, list[int]]) -> dict[str, Tensor]:
    """What to silence in SMALL for the kept channels of each of its axes."""

    def rest(name: str, count: int) -> Tensor:
        return torch.tensor([c for c in range(count) if c not in kept[name]])

    stem, second, third = rest("stem", 8), rest("second", 12), rest("third", 16)
    found: dict[str, Tensor] = {"stem.0 rows": stem}
    for number in range(2):
        block = f"stages.0.{number}.branch"  # without expansion: hidden is the stream
        found |= {f"{block}.depthwise.0 rows": stem, f"{block}.project.0 columns": stem}
        found[f"{block}.project.0 rows"] = stem
    for number, (entry, prefix) in enumerate(((stem, "stages.1.0"), (second, "stages.1.1.branch"))):
        hidden = rest(f"hidden {number}", (8, 12)[number] * 3)
        found |= {
            f"{prefix}.expand.0 columns": entry,
            f"{prefix}.expand.0 rows": hidden,
            f"{prefix}.depthwise.0 rows": hidden,
            f"{prefix}.excite.reduce columns": hidden,
            f"{prefix}.project.0 columns": hidden,
            f"{prefix}.project.0 rows": second,
        }
    for entry, prefix in ((second, "stages.2.0"), (third, "stages.2.1.branch")):
        found |= {
            f"{prefix}.depthwise.0 rows": entry,
            f"{prefix}.pointwise.0 columns": entry,
            f"{prefix}.pointwise.0 rows": third,
        }
    features = rest("features", 20)
    return found | {
        "head.conv.0 columns": third,
        "head.conv.0 rows": features,
        "head.classifier columns": features,
    }


WIDTHS = {"stem": (8, 6), "second": (12, 9), "third": (16, 12), "features": (20, 15),
          "hidden 0": (24, 12), "hidden 1": (36, 18)}  # fmt: skip


def test_cut_streams_keep_the_same_channels_everywhere() -> None:
    """What the network keeps is all that the source had: its other channels are silent."""
    kept = {name: evenly(*pair) for name, pair in WIDTHS.items()}
    source = silenced(trained(SMALL), dropped_of(kept))
    network = inherit(source.state_dict(), SMALL, cut_design()).network
    assert (answers(network) - answers(source)).abs().max() < 1e-5
    assert (answers(network) - answers(trained(SMALL))).abs().max() > 0.1


@pytest.mark.parametrize("channels", ["norm", "rebuild"])
def test_channels_that_nobody_needs_are_those_that_leave(channels: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    kept = {
        name: sorted(torch.randperm(width, generator=generator)[:count].tolist())
        for name, (width, count) in WIDTHS.items()
    }
    source = silenced(trained(SMALL), dropped_of(kept))
    network = inherit(
        source.state_dict(),
        SMALL,
        cut_design(),
        channels=channels,
        images=images(64),
    ).network
    assert (answers(network) - answers(source)).abs().max() < 0.05


def test_readers_make_up_for_channels_that_others_can_tell() -> None:
    """The last third of the hidden channels repeats the first."""
    source = trained(SMALL)
    state = source.state_dict()
    for block in ("stages.1.0.", "stages.1.1.branch."):
        for part in ("expand.0", "expand.1", "depthwise.0", "depthwise.1", "excite.expand"):
            for name, value in state.items():
                if name.startswith(block + part) and value.ndim:
                    third = len(value) // 3
                    value[-third:] = value[:third]
    smaller = staged(SMALL, 2, expand_ratio=2)
    network = inherit(state, SMALL, smaller, channels="rebuild", images=images(64)).network
    assert (answers(network) - answers(source)).abs().max() < 0.05
    network = inherit(state, SMALL, smaller, channels="even").network
    assert (answers(network) - answers(source)).abs().max() > 0.1


@pytest.mark.parametrize("channels", ["even", "norm", "rebuild"])
def test_a_cut_network_that_is_fitted_answers_more_as_its_source_does(channels: Any) -> None:
    source = trained(SMALL)
    state, pixels = source.state_dict(), images(96)
    expected = answers(source, pixels)
    apart = {
        fitted: float(
            (answers(inherit(
                state, SMALL, cut_design(), images=fitted,
                channels=channels if fitted is not None else "even",
            ).network, pixels) - expected).square().mean() / expected.var()
        )
        for fitted in (None, images(64))
    }  # fmt: skip
    plain, fitted = apart.values()
    assert fitted < 0.9 * plain


def test_kernels_are_cut_from_their_centres() -> None:
    source = trained(staged(SMALL, 3, kernel=5))
    state = source.state_dict()
    for name in ("stages.2.0.depthwise.0.weight", "stages.2.1.branch.depthwise.0.weight"):
        ring = torch.ones(5, 5, dtype=torch.bool)
        ring[1:-1, 1:-1] = False
        state[name][..., ring] = 0
    network = inherit(state, staged(SMALL, 3, kernel=5), staged(SMALL, 3, kernel=3)).network
    assert torch.allclose(answers(network), answers(source), atol=1e-5)


def test_blocks_leave_from_the_end_of_their_stage() -> None:
    deeper = staged(SMALL, 2, depth=3)
    source = trained(deeper)
    state = source.state_dict()
    state["stages.1.2.branch.project.1.weight"].zero_()
    state["stages.1.2.branch.project.1.bias"].zero_()
    network = inherit(state, deeper, SMALL).network
    assert torch.allclose(answers(network), answers(source), atol=1e-5)


def test_gates_that_are_open_can_be_dropped() -> None:
    source = trained(SMALL)
    state = source.state_dict()
    for block in ("stages.1.0", "stages.1.1.branch"):
        state[f"{block}.excite.expand.weight"].zero_()
        state[f"{block}.excite.expand.bias"].fill_(30.0)
    network = inherit(state, SMALL, staged(SMALL, 2, se_ratio=0.0)).network
    assert torch.allclose(answers(network), answers(source), atol=1e-5)


# Both ways, any shape


@given(source=kindred(), target=kindred(), channels=st.sampled_from(["even", "norm", "rebuild"]))
@settings(max_examples=20)
def test_any_kindred_design_takes_weights_from_any_other(
    source: Architecture, target: Architecture, channels: Any
) -> None:
    state = trained(source).state_dict()
    found = inherit(state, source, target, channels=channels, images=images(4))
    recalibrate(found.network, [images(4)])
    assert answers(found.network).isfinite().all()
    assert sum(s.params for s in found.shares) == sum(p.numel() for p in found.network.parameters())
    assert all(0 <= s.inherited <= s.params for s in found.shares)
    assert found.shares[0].inherited > 0


def test_shares_count_what_was_taken() -> None:
    wider = replace(SMALL, head=replace(SMALL.head, width=40), num_classes=3)
    found = inherit(trained(SMALL).state_dict(), SMALL, staged(wider, 1, depth=3))
    stem, first, second, third, head, classifier = found.shares
    assert stem == Share("stem", 3 * 9 * 8 + 16, 3 * 9 * 8 + 16)
    assert stem.share == 1
    block = 8 * 9 + 16 + 64 + 16
    assert first == Share("stage 1", 3 * block, 3 * block - 16)  # its last norm begins at 0
    assert (second.share, third.share) == (1, 1)
    assert head == Share("head", 40 * 16 + 80, 20 * 16 + 40)
    assert classifier == Share("classifier", 40 * 3 + 3, 0)  # other classes


def test_stages_match_by_the_size_of_their_maps_where_their_numbers_differ() -> None:
    def design(*strides: int) -> Architecture:
        row = tuple(Stage(width=8, stride=stride) for stride in strides)
        return replace(SMALL, stages=row)

    assert matched_stages(design(1, 2, 2), design(2, 1, 2)) == [0, 1, 2]
    assert matched_stages(design(1, 2, 2, 1, 2), design(1, 2, 2, 2)) == [0, 1, 3, 4]
    assert matched_stages(design(1, 2, 2), design(1, 2, 1, 2, 1)) == [0, 1, 1, 2, 2]
    assert matched_stages(design(1, 2, 2, 2), design(1, 2)) == [1, 3]


# Classes


def test_classifier_rows_follow_the_classes() -> None:
    state = trained(SMALL).state_dict()
    target = replace(SMALL, num_classes=3, head=replace(SMALL.head, width=26))
    found = inherit(state, SMALL, target, rows=[4, None, 1])
    row = found.network.state_dict()["head.classifier.weight"]
    assert torch.equal(row[0, :20], state["head.classifier.weight"][4])
    assert (row[0, 20:] == 0).all()
    assert (row[1] != 0).all()
    logits, theirs = answers(found.network), answers(trained(SMALL))
    assert torch.allclose(logits[:, [0, 2]], theirs[:, [4, 1]], atol=1e-4)
    assert found.shares[-1].inherited == 2 * (20 + 1)


def test_a_source_may_lack_its_classifier_and_bear_other_names() -> None:
    plain = staged(replace(SMALL, stages=SMALL.stages[:2]), 2, se_ratio=0.0)
    source = trained(plain)
    names = lukemelas_names(source.state_dict())
    state = {names[name]: value for name, value in source.state_dict().items()}
    found = inherit(state, plain, plain)
    assert torch.equal(answers(found.network), answers(source))
    headless = {name: value for name, value in state.items() if not name.startswith("_fc")}
    *rest, classifier = inherit(headless, plain, plain).shares
    assert classifier.share == 0
    assert {s.share for s in rest} == {1.0}


# Refusals


def test_other_blocks_are_refused_by_name() -> None:
    state = trained(SMALL).state_dict()
    other = replace(SMALL, stages=(SMALL.stages[0], Stage(block="fused-mbconv", width=8)))
    with pytest.raises(
        InvalidSetting,
        match=r"stage 2 of the network has fused-mbconv .* mbconv, separable and mobilenet-v3",
    ):
        inherit(state, SMALL, other)
    with pytest.raises(InvalidSetting, match="stage 2 of the source has fused-mbconv"):
        inherit(state, other, SMALL)


@pytest.mark.parametrize(
    "fields",
    [
        {"stem": Stem(width=8, kernel=4, stride=4)},
        {"stem": Stem(width=8, norm="layer")},
        {"head": Head(width=20, hidden=12, norm="layer")},
        {"head": Head(width=20, norm="layer")},
    ],
)
def test_other_layers_of_stems_and_heads_are_refused_by_name(fields: dict[str, Any]) -> None:
    state, other = trained(SMALL).state_dict(), replace(SMALL, **fields)
    (part,) = fields
    with pytest.raises(InvalidSetting, match=f"the {part} of the network has other layers"):
        inherit(state, SMALL, other)
    with pytest.raises(InvalidSetting, match=f"the {part} of the source has other layers"):
        inherit(state, other, SMALL)


def test_what_does_not_fit_is_refused_with_a_reason() -> None:
    state = trained(SMALL).state_dict()
    with pytest.raises(InvalidSetting, match=r"another network's: stem.0.weight"):
        inherit(state, widened(SMALL, 1), SMALL)
    with pytest.raises(InvalidSetting, match="for each of 5 classes, a row of the 5"):
        inherit(state, SMALL, SMALL, rows=[0, 1, 2, 3, 5])
    with pytest.raises(InvalidSetting, match="one of even, norm, rebuild, got 'best'"):
        inherit(state, SMALL, SMALL, channels="best")  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="'rebuild' goes by images"):
        inherit(state, SMALL, SMALL, channels="rebuild")
    del state["head.classifier.weight"], state["head.classifier.bias"]
    with pytest.raises(InvalidSetting, match="no classifier; leave them out"):
        inherit(state, SMALL, SMALL, rows=[0, 1, 2, 3, 4])
