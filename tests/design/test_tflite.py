"""What a design becomes as a TensorFlow Lite file, and where its activations lie."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.blocks.layers import Conv
from autoscale.design.cost import cost
from autoscale.design.measures.flash import Flash
from autoscale.design.measures.ram import Ram
from autoscale.design.published import published
from autoscale.design.style import Padding
from autoscale.design.tflite.arena import (
    ALIGNMENT,
    Buffer,
    buffers,
    greedy_plan,
    most_alive,
    planned,
)
from autoscale.design.tflite.graph import PRECISIONS, Precision, graph
from autoscale.design.walk import head_layers, last_place, places_of, stem_layers, walk
from autoscale.errors import InvalidSetting
from tests.strategies import architectures

# (network, pixels, padding) -> bytes of the arena's activations as TensorFlow Lite Micro's own
# interpreter plans them, and of the whole arena and of the file, int8 with 10 classes; see
# experiments/boards. The whole arena is that of a processor with 64 bits.
INTERPRETED: dict[tuple[str, int, Padding], tuple[int, int, int]] = {
    ("efficientnet-lite0", 64, "same"): (122_880, 305_904, 3_955_952),
    ("efficientnet-lite0", 64, "symmetric"): (202_848, 386_752, 3_957_568),
    ("efficientnet-b0", 64, "same"): (294_912, 579_392, 4_889_456),
    ("efficientnet-b0", 64, "symmetric"): (301_152, 586_512, 4_891_056),
    ("mobilenet-v2", 96, "same"): (276_480, 428_784, 2_707_632),
    ("mobilenet-v2", 96, "symmetric"): (451_680, 604_864, 2_709_248),
    ("resnet-18", 32, "same"): (34_880, 81_360, 11_319_360),
    ("mnasnet-a1", 64, "symmetric"): (202_848, 393_952, 3_209_520),
}

pieces = st.builds(
    lambda size, first, life: Buffer(ALIGNMENT * size, first, first + life),
    st.integers(1, 40),
    st.integers(0, 12),
    st.integers(0, 6),
)


@pytest.mark.parametrize(("name", "pixels", "padding"), INTERPRETED)
def test_activations_lie_where_the_interpreter_puts_them(
    name: str, pixels: int, padding: Padding
) -> None:
    arena, whole, file = INTERPRETED[name, pixels, padding]
    design = replace(published(name), resolution=pixels, num_classes=10)
    assert planned(buffers(graph(design, "int8", padding), 1)) == arena
    assert 0.97 < Ram("int8", padding).of(design) / whole < 1
    assert 1 <= Flash("int8", padding).of(design) / file < 1.005


@given(st.lists(pieces, max_size=25))
def test_what_is_alive_together_does_not_lie_on_top_of_each_other(held: list[Buffer]) -> None:
    placed = list(zip(greedy_plan(held), held, strict=True))
    for number, (begin, one) in enumerate(placed):
        assert begin >= 0
        for other_begin, other in placed[:number]:
            together = one.first <= other.last and other.first <= one.last
            apart = begin + one.bytes <= other_begin or other_begin + other.bytes <= begin
            assert apart or not together


@given(st.lists(pieces, max_size=25))
def test_no_plan_needs_less_than_is_alive_together(held: list[Buffer]) -> None:
    moments = range(20)
    most = max(sum(b.bytes for b in held if b.first <= t <= b.last) for t in moments)
    assert most_alive(held) == most
    assert most <= planned(held) <= sum(b.bytes for b in held)


def test_the_largest_go_first_into_the_first_gap_and_of_equal_ones_the_later() -> None:
    held = [Buffer(32, 0, 1), Buffer(32, 1, 2), Buffer(64, 2, 3), Buffer(16, 3, 4)]
    assert greedy_plan(held) == [0, 64, 0, 64]
    assert greedy_plan([Buffer(16, 0, 0), Buffer(16, 0, 0)]) == [16, 0]
    # A gap that the order leaves: 96 bytes are alive together, and 112 are taken.
    broken = [Buffer(48, 0, 1), Buffer(48, 1, 2), Buffer(32, 2, 3), Buffer(48, 3, 4)]
    assert planned(broken) >= most_alive(broken)
    assert planned([]) == 0


SMALL = Architecture(
    resolution=8,
    stem=Stem(width=4, activation="relu6"),
    stages=(Stage(width=4, expand_ratio=2, activation="relu6"),),
    head=Head(width=8, activation="relu6"),
    num_classes=3,
)


def kinds(design: Architecture, padding: Padding = "same") -> list[str]:
    return [operation.kind for operation in graph(design, "float32", padding).operations]


def test_an_activation_that_a_convolution_computes_is_no_operation() -> None:
    convolutions = ["depthwise", "conv", "conv", "depthwise", "conv", "add", "conv"]
    assert kinds(SMALL) == [*convolutions, "mean", "fully-connected"]
    stage = SMALL.stages[0]
    swish = replace(SMALL, stages=(replace(stage, activation="hswish"),))
    assert kinds(swish).count("hswish") == 2
    silu = replace(SMALL, stages=(replace(stage, activation="silu"),))
    assert kinds(silu).count("logistic") == kinds(silu).count("mul") == 2


def test_bytes_become_whole_numbers_with_a_sign_in_int8_only() -> None:
    assert graph(SMALL, "int8").operations[0].kind == "quantize"
    assert kinds(SMALL)[0] == "depthwise"  # the normalisation


def test_squeeze_and_excitation_keeps_the_map_while_its_gate_is_computed() -> None:
    design = replace(SMALL, stages=(replace(SMALL.stages[0], se_ratio=0.25),))
    found = graph(design, "float32", "same")
    gated = next(o for o in found.operations if o.kind == "mul" and len(o.inputs) == 2)
    assert [found.tensors[i].size for i in gated.inputs] == [4, 1]
    # Between the two: mean, two convolutions, the gate.
    assert gated.inputs[1] - gated.inputs[0] == 4


@pytest.mark.parametrize(("pixels", "padded"), [(8, 9), (9, None)])
def test_a_stride_pads_an_even_side_before_and_an_odd_one_on_the_way(
    pixels: int, padded: int | None
) -> None:
    found = graph(replace(SMALL, resolution=pixels), "int8", "symmetric")
    made = zip(found.operations, found.tensors[1:], strict=True)
    sizes = [tensor.size for operation, tensor in made if operation.kind == "pad"]
    assert sizes == ([padded] if padded else [])
    assert "pad" not in kinds(replace(SMALL, resolution=pixels), "same")


@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenet-v2", "efficientnet-b0"])
def test_a_file_holds_the_weights_that_are_counted(name: str) -> None:
    design = published(name)
    held = graph(design, "float32", "same").operations[1:]  # without the normalisation
    # A folded norm leaves a bias of its two numbers, and a convolution without one none.
    biases = sum(one.channels for one in held)
    norms = sum(n for n in _norms(design))
    assert sum(one.weights for one in held) + biases + norms == cost(design).params


def _norms(design: Architecture) -> list[int]:
    """Channels of each batch norm."""
    layers = [*stem_layers(design.stem, design.stem.width)]
    layers += [layer for block in walk(design) for layer in block.layout.branch]
    layers += head_layers(design.head, last_place(design).width, design.num_classes)
    return [one.width for one in layers if isinstance(one, Conv) and one.norm == "batch"]


@given(architectures(), st.sampled_from(PRECISIONS), st.sampled_from(["same", "symmetric"]))
def test_parts_tell_the_flash_and_the_least_ram(
    design: Architecture, precision: Precision, padding: Padding
) -> None:
    ram, flash = Ram(precision, padding), Flash(precision, padding)
    try:
        whole = ram.of(design)
    except InvalidSetting:
        with pytest.raises(InvalidSetting):
            flash.of(design)
        return
    assert ram.least(design) <= whole
    assert flash.of(design) == sum(flash.at(place) for place in places_of(design))
    loaded = replace(ram, loaded=True)
    assert loaded.of(design) == whole + flash.of(design)


def test_a_number_of_four_bytes_takes_four_times_the_arena_less_the_sums_of_means() -> None:
    design = replace(published("mobilenet-v2"), resolution=96, num_classes=10)
    small = planned(buffers(graph(design, "int8", "same"), 1))
    assert planned(buffers(graph(design, "float32", "same"), 4)) == 4 * small


@pytest.mark.parametrize("name", ["convnext-tiny"])
def test_layers_without_an_operation_are_refused(name: str) -> None:
    for measure in (Ram(), Flash()):
        with pytest.raises(InvalidSetting, match=r"no operation of TensorFlow Lite.*batch norm"):
            measure.of(published(name))
