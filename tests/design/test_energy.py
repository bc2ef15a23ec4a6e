"""Energy by a table, as its page has it."""

import re
from pathlib import Path

import pytest

from autoscale.design.cost import Cost, cost
from autoscale.design.measures.energy import Energy
from autoscale.design.measures.limits import parse_limits
from autoscale.design.measures.registry import measure_named
from autoscale.design.published import published
from autoscale.errors import InvalidSetting

PAGE = Path(__file__).parents[2] / "docs" / "costs.md"
(TABLE,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def reading(text: str = TABLE) -> Energy:
    found = measure_named("energy:chip.yaml", lambda path: text)
    assert isinstance(found, Energy)
    return found


def test_the_example_of_the_page_is_the_table_of_horowitz() -> None:
    energy = reading()
    # Horowitz 2014 (ISSCC), figure 1.1.9: 32-bit multiply and add; DRAM and SRAM of 32 bits / 4.
    assert (energy.multiply, energy.add) == (3.7, 0.9)
    assert (energy.weight_byte, energy.activation_byte) == (640 / 4, 5 / 4)


def test_energy_is_the_sum_of_operations_and_moved_bytes() -> None:
    counts = Cost(macs=10**6, params=10**4, activations=10**5)
    picojoules = 4.6 * 10**6 + 640 * 10**4 + 2 * 5 * 10**5
    assert reading().count(counts) == pytest.approx(picojoules / 10**6)
    b0 = cost(published("efficientnet-b0"))
    assert reading().of(published("efficientnet-b0")) == pytest.approx(
        (4.6 * b0.macs + 640 * b0.params + 10 * b0.activations) / 10**6
    )


@pytest.mark.parametrize(
    ("text", "microjoules"),
    [("40uJ", 40), ("1.5mJ", 1500), ("900nJ", 0.9), ("2e3 pJ", 0.002), (".5 J", 500_000)],
)
def test_an_energy_is_read_in_its_unit(text: str, microjoules: float) -> None:
    assert Energy.parse(text) == pytest.approx(microjoules)
    assert Energy.parse(Energy.show(microjoules)) == pytest.approx(microjoules)


def test_a_limit_on_energy_names_its_table() -> None:
    (limit,) = parse_limits(["energy:chip.yaml=40uJ"], lambda path: TABLE)
    assert limit.exactly == "40 uJ"
    assert limit.measure == reading()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            TABLE + "idle: 3\n",
            r"chip\.yaml:\d+:1: idle: unknown key; there are multiply, add, weight_byte, "
            "activation_byte, bytes",
        ),
        (TABLE + "multiplies: 3\n", "multiplies: unknown key; did you mean multiply?"),
        ("multiply: 3.7\n", r"chip\.yaml:1:1: add: missing"),
        (TABLE.replace("3.7 ", "-3.7 "), "multiply must be 0 to 1e[+]12 picojoules, got -3.7"),
        (TABLE.replace("3.7 ", "1.0e+308 "), r"multiply must be 0 to 1e[+]12 picojoules, got 1e"),
        (TABLE.replace("bytes: 4", "bytes: 0"), "bytes of a number must be 1 to 16, got 0"),
        (TABLE.replace("bytes: 4", "bytes: -1"), "bytes of a number must be 1 to 16, got -1"),
        ("multiply: 0\nadd: 0\nweight_byte: 0\nactivation_byte: 0\n", "are all 0, so that no"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        reading(text)


def test_energy_without_a_table_and_what_is_no_energy_are_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"name it as energy:FILE\.yaml"):
        measure_named("energy", lambda path: TABLE)
    with pytest.raises(InvalidSetting, match="not an energy: '8M'; write 40uJ"):
        Energy.parse("8M")
