"""What people write into YAML files, read as an architecture."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture, Stem
from autoscale.design.document import dump, kind_of, parse
from autoscale.errors import InvalidArchitecture, InvalidSpace

TEXT = """\
resolution: 32
stem: {width: 8}
stages:
  - width: 8
    depth: 1
  - {width: 16}
head: {width: 8}
num_classes: 3
"""


def test_what_is_dumped_stands_in_the_given_order_one_line_for_each_innermost_mapping() -> None:
    assert dump({"b": 1, "a": [{"d": 2, "c": 3.5}]}) == "format: 1\nb: 1\na:\n- {d: 2, c: 3.5}\n"


def test_the_caller_chooses_the_error_and_the_name_of_the_source() -> None:
    assert parse("width: 8", Stem, source="stem.yaml", error=InvalidSpace) == Stem(width=8)
    with pytest.raises(InvalidSpace, match=r"^stem\.yaml:1:1: width: input should be"):
        parse("width: wide", Stem, source="stem.yaml", error=InvalidSpace)


def test_a_stage_can_be_written_once_and_meant_twice() -> None:
    text = TEXT.replace("- width: 8", "- &first\n    width: 8").replace("- {width: 16}", "- *first")
    first, second = Architecture.from_yaml(text).stages
    assert first == second


# Kinds


def test_a_written_design_says_that_it_is_one() -> None:
    text = Architecture.from_yaml(TEXT).to_yaml()
    assert text.startswith("format: 1\nkind: design\nresolution: 32\n")
    assert kind_of(text) == kind_of(TEXT) == "design"


def test_a_file_of_another_kind_is_refused_at_the_line_that_states_it() -> None:
    with pytest.raises(InvalidArchitecture, match=r"a\.yaml:2:1: kind: expected design, got 'spa"):
        Architecture.from_yaml("# mine\nkind: space\n" + TEXT, source="a.yaml")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("kind: member\nstages: []", "member"),
        ("kind: nonsense\nstages: []", None),
        ("kind: [1]", None),
        ("name: one\nmodel: mine:build", "user-model-member"),
        ("name: one\narchitecture: {stages: []}", "member"),
        ("- stages", None),
        ("{", None),
    ],
)
def test_the_kind_is_what_the_file_states_else_what_its_keys_tell(
    text: str, kind: str | None
) -> None:
    assert kind_of(text) == kind


# Mistakes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("depth", "dpeth", "5:5: stages.1.dpeth: unknown key; did you mean depth?"),
        ("depth: 1", "zzz: 1", "5:5: stages.1.zzz: unknown key"),
        ("resolution", "resoltion", "1:1: resoltion: unknown key; did you mean resolution?"),
        ("num_classes: 3\n", "", "1:1: num_classes: missing"),
        ("{width: 16}", "{depth: 2}", "6:5: stages.2.width: missing"),
        ("depth: 1", "width: 9", "5:5: width: given twice; keep one"),
        ("num_classes: 3", "head: {}", "8:1: head: given twice; keep one"),
        ("depth: 1", "kernel: 4", "4:5: stages.1: kernel must be odd, got 4"),
        ("depth: 1", "depth: 0", "4:5: stages.1: depth must be a whole number of at least 1"),
        ("{width: 16}", "{width: 16, block: identity, kernel: 5}", "6:5: stages.2: identity"),
        ("depth: 1", "depth: 1.0", "5:5: stages.1.depth: input should be a valid integer, got 1.0"),
        ("depth: 1", 'depth: "1"', "5:5: stages.1.depth: input should be a valid integer, got '1'"),
        ("depth: 1", "depth: yes", "5:5: stages.1.depth: input should be a valid integer, got T"),
        ("depth: 1", "depth: {a: 1}", "5:5: stages.1.depth: input should be a valid integer"),
        ("depth: 1", "block: mbcon", "5:5: stages.1.block: input should be 'mbconv', "),
        ("head: {width: 8}", "head: 3", "7:1: head: input should be an object, got 3"),
        ("{width: 16}", "{width: 16", "7:5: not valid YAML: expected ',' or '}', but got ':'"),
        ("{width: 8}", "*gone", "2:7: not valid YAML: found undefined alias 'gone'"),
    ],
    ids=str,
)
def test_a_mistake_is_named_with_file_line_column_and_key(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidArchitecture) as refusal:
        Architecture.from_yaml(TEXT.replace(old, new, 1), source="mine.yaml")
    assert str(refusal.value).startswith(f"mine.yaml:{message}")


def test_several_mistakes_are_counted() -> None:
    with pytest.raises(InvalidArchitecture, match=r"resolution: missing \(and 3 more\)$"):
        Architecture.from_yaml("{}")


@pytest.mark.parametrize(
    ("text", "kind"), [("", "nothing"), ("# words", "nothing"), ("a", "'a'"), ("[1]", "a list")]
)
def test_what_is_no_mapping_is_refused(text: str, kind: str) -> None:
    with pytest.raises(InvalidArchitecture) as refusal:
        Architecture.from_yaml(text)
    assert str(refusal.value) == f"architecture: expected keys and values, got {kind}"


# Garbage

broken_documents = st.builds(
    lambda place, length, junk: TEXT[:place] + junk + TEXT[place + length :],
    place=st.integers(0, len(TEXT)),
    length=st.integers(0, 20),
    junk=st.text(max_size=10) | st.text("{}[]:,-&*!?|>'\"#%@ \n\t0aA", max_size=10),
)
binary = st.binary().map(lambda data: data.decode("latin-1"))


@settings(max_examples=200)
@given(st.text() | broken_documents | binary)
def test_any_text_is_a_design_or_an_invalid_architecture(text: str) -> None:
    with suppress(InvalidArchitecture):
        assert isinstance(Architecture.from_yaml(text), Architecture)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 2000,
        "{a: " * 2000,
        "a: " + "[" * 150 + "]" * 150,
        "\x00\x01\x02",
        "\ud800",
        "a: !!python/name:os.system x",
        "a: " + "9" * 5000,
        "a: 2001-99-99",
        "{[]: 1}",
        "a: 1\n---\nb: 2",
        "a: =",
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_hostile_text_is_an_invalid_architecture(text: str) -> None:
    with pytest.raises(InvalidArchitecture):
        Architecture.from_yaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!int ''",  # IndexError
        "a: !!bool maybe",  # KeyError
        "a: !!timestamp soon",  # AttributeError
        "2001-01-01: 1",  # TypeError: a date is no JSON key
        '"\\UFFFFFFFF": 1',  # OverflowError
        "a: &a [*a]",  # RecursionError: a list that holds itself
    ],
)
def test_hostile_yaml_is_an_invalid_architecture_too(text: str) -> None:
    with pytest.raises(InvalidArchitecture):
        Architecture.from_yaml(text)
