from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from autoscale.cli.app import app
from autoscale.design.amounts import BYTES
from autoscale.design.cost import CONVENTIONS, cost
from autoscale.design.published import published
from autoscale.design.rounding import PAPER, ROUNDINGS
from autoscale.errors import AutoscaleError, InvalidArchitecture, InvalidSetting
from autoscale.models.count import Count, count, count_module
from autoscale.models.op_costs import parse_handles
from autoscale.network.measuring.second_count import CountLine, compare_counts
from autoscale.network.measuring.trace import without_jit_warnings
from autoscale.scaling.family import Growths, member
from autoscale.scaling.scalable import Design

MODULE = """
import torch
from torch import nn

class Mix(nn.Module):
    def forward(self, x):
        return x.cumsum(1)

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

def unknown():
    return nn.Sequential(Mix(), build())

def needs(argument):
    return build()

def number():
    return 3

ready = build()

def hard():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardswish())

def price(inputs, outputs):
    return 5

def negative(inputs, outputs):
    return -5

def half(inputs, outputs):
    return 0.5

def greedy(inputs, outputs):
    raise KeyError("no price")

def broken():
    raise RuntimeError("no weights\\nat hand")

def leaves():
    raise SystemExit(2)

class Lost(nn.Module):
    def forward(self, x):
        return {}["logits"]
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's in the working directory."""
    (tmp_path / "users_networks.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "users_networks", raising=False)
    return "users_networks"


def test_a_published_network_is_counted_by_name() -> None:
    counted = count("efficientnet-b4")
    assert counted.cost == cost(published("efficientnet-b4"))
    assert (counted.resolution, counted.traced) == (380, False)


def test_the_resolution_can_be_another() -> None:
    # A user of another counter got this for B2 at 224 and took it for an error.
    assert count("efficientnet-b2", resolution=224).cost.macs == 658_963_440


def test_a_designs_file_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(published("mobilenet-v2").to_yaml(), encoding="utf-8")
    assert count(str(path)).cost == cost(published("mobilenet-v2"))


def test_a_wrong_file_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("resolution: 32\nstem: {width: 0}\n", encoding="utf-8")
    with pytest.raises(InvalidArchitecture, match=r"mine\.yaml:"):
        count(str(path))


def test_a_family_members_file_is_counted(tmp_path: Path) -> None:
    base = published("efficientnet-b0")
    large = member(Design(base, ROUNDINGS["tf"]), Growths(PAPER), 1, name="large")
    path = tmp_path / "large.yaml"
    path.write_text(large.to_yaml(), encoding="utf-8")
    assert count(str(path)).cost == cost(large.architecture)
    answer = json.loads(run("compare", str(path), "efficientnet-b0", "--json"))
    assert answer["networks"][0]["macs"] == large.counts.macs


def test_a_wrong_members_file_is_refused_as_a_member(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\narchitecture: {resolution: 32}\n", encoding="utf-8")
    with pytest.raises(InvalidArchitecture, match=r"mine\.yaml:.*missing"):
        count(str(path))


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "&a [*a]"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidArchitecture, match=r"mine\.yaml"):
        count(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.yaml", r"^no such file: missing\.yaml; name"),
        ("eficientnet-b0", r"mean efficientnet-b0 or .*\? list .* autoscale compare FAMILY"),
        ("zzz", r"^no published network 'zzz'; list a family with: .* \(efficientnet, .*\)$"),
        ("efficientnet", r"a family of 11 .* such as efficientnet-b0, .*compare effic"),
    ],
)
def test_an_unknown_network_is_refused_with_the_way_to_the_known_ones(
    name: str, message: str
) -> None:
    with pytest.raises(InvalidSetting, match=message) as refused:
        count(name)
    assert len(str(refused.value)) < 350


def test_the_table_has_a_row_for_each_part_and_the_total() -> None:
    table = count("efficientnet-b0").table("fvcore").set_index("part")
    assert list(table.index) == ["stem", *(f"stage {n}" for n in range(1, 8)), "head", "total"]
    sums = table.drop(index="total").sum()
    for column in ("flops", "macs", "params", "activations"):
        assert sums[column] == table.loc["total", column]
    assert table.loc["total", "flops"] == 401_659_392
    assert table.loc["total", "memory"] == table.memory.iloc[:-1].max() == 1_505_280 * BYTES


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_has_its_flops(convention: str) -> None:
    counted = count("tinynet-e")
    assert counted.row(convention)["flops"] == CONVENTIONS[convention](counted.cost)


def test_an_unknown_convention_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidSetting, match="'exact'; choose from paper, biases"):
        count("tinynet-e").table("exact")


# Modules of the user's


@pytest.mark.parametrize("name", ["build", "ready"])
def test_a_users_module_is_traced(users_module: str, name: str) -> None:
    counted = count(f"{users_module}:{name}", resolution=10)
    assert counted.traced
    assert counted.cost.macs == 64 * 27 * 4 + 8
    assert counted.cost.params == 27 * 4 + 4 + 10


def test_an_unknown_operation_is_named_and_can_be_given_a_cost(users_module: str) -> None:
    name = f"{users_module}:unknown"
    with pytest.raises(InvalidSetting, match=r"aten::cumsum in 0 .*--op-cost aten::cumsum=0"):
        count(name, resolution=10)
    free = count(name, resolution=10, handles=parse_handles(["aten::cumsum=0"]))
    priced = count(
        name, resolution=10, handles=parse_handles([f"aten::cumsum={users_module}:price"])
    )
    assert priced.cost.macs == free.cost.macs + 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_to_be_found:build", "cannot import nowhere_to_be_found"),
        ("users_networks:missing", "has no 'missing'"),
        ("users_networks:needs", "without arguments"),
        ("users_networks:number", "gives a int"),
        ("users networks:build", r"write package\.module:build"),
        ("users_networks:broken", ":broken failed: RuntimeError: no weights at hand; correct"),
        ("users_networks:leaves", ":leaves failed: SystemExit: 2; correct"),
        ("users_networks:Lost", ":Lost does not take an image .*: KeyError: 'logits'; correct"),
    ],
)
def test_what_is_no_network_is_refused(users_module: str, name: str, message: str) -> None:
    with pytest.raises(InvalidSetting, match=message):
        count(name)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def build(:", "SyntaxError: "),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines; correct"),
        ("None.weights", "AttributeError: 'NoneType'"),
        ("raise SystemExit", "SystemExit; correct"),
        ("import sys; sys.path.pop(0)", "has no 'build'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, cause: str
) -> None:
    (tmp_path / "faulty_networks.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty_networks", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(InvalidSetting, match=rf"faulty_networks.*{cause}") as refused:
        count("faulty_networks:build")
    assert "\n" not in str(refused.value)


def test_an_image_that_does_not_fit_is_refused_with_the_way_out(users_module: str) -> None:
    with pytest.raises(InvalidSetting, match=r"\(1, 3, 2, 2\): .*another --resolution"):
        count(f"{users_module}:build", resolution=2)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("negative", "must give a whole number of at least 0, got -5"),
        ("half", r"must give a whole number of at least 0, got 0\.5"),
        ("greedy", "failed on inputs .*: KeyError: 'no price'"),
        ("needs", "failed on inputs .*: TypeError: "),
    ],
)
def test_a_function_that_gives_no_cost_is_named(
    users_module: str, function: str, message: str
) -> None:
    handles = parse_handles([f"aten::cumsum={users_module}:{function}"])
    with pytest.raises(InvalidSetting, match=f"^{users_module}:{function}, .*cumsum, {message}"):
        count(f"{users_module}:unknown", resolution=10, handles=handles)


@pytest.mark.parametrize("value", ["-5", "2.5", "1e6", "nan"])
def test_a_cost_that_is_no_whole_number_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"whole number of at least 0, got {value}"):
        parse_handles([f"aten::x={value}"])


def test_the_cost_of_an_operation_that_never_ran_is_refused(users_module: str) -> None:
    handles = parse_handles(["aten::foo=0"])
    with pytest.raises(InvalidSetting, match=r":build does not run aten::foo; correct --op-cost"):
        count(f"{users_module}:build", resolution=10, handles=handles)
    with pytest.raises(InvalidSetting, match="closed form and runs no aten::foo; leave --op-cost"):
        count("efficientnet-b0", handles=handles)


@pytest.mark.parametrize("text", ["aten::cumsum", "aten::cumsum=", "aten::cumsum=free", "=0"])
def test_a_cost_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="write"):
        parse_handles([text])


# Commands


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, AutoscaleError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_prints_every_stage() -> None:
    output = run("count", "efficientnet-b0", "--per-stage")
    for text in ("stem", "stage 7", "385,814,752", "5,288,548", "closed form"):
        assert text in output


def test_the_command_answers_in_json() -> None:
    answer = json.loads(
        run("count", "efficientnet-b0", "--per-stage", "--json", "--convention", "two-flops")
    )
    assert answer["flops"] == 771_629_504
    assert answer["convention"] == "two-flops"
    assert [part["part"] for part in answer["parts"]][-1] == "head"


def test_side_by_side_with_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "sizes.svg"
    output = run("compare", "mnasnet", "resnet-50", "--plot", str(picture))
    assert "mnasnet-a1" in output
    assert "76" in output
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    answer = json.loads(run("compare", "mnasnet-a1", "--json"))
    assert answer["networks"][0]["params"] == 3_887_038


# fvcore's convention


class Gate(nn.Module):
    """An einsum and products of its own, which fvcore counts or leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(12, 8)
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.rows(images.flatten(1).reshape(1, -1, 12))
        return torch.einsum("btc,c->bt", found, self.scale) * found.sigmoid().mean(-1)


def conv(width: int, out: int, **options: Any) -> list[nn.Module]:
    return [nn.Conv2d(width, out, 3, padding=1, **options), nn.BatchNorm2d(out), nn.Hardswish()]


#: Networks in which what fvcore counts differs from convolutions, norms and global pooling.
FOREIGN: dict[str, Callable[[], nn.Module]] = {
    "einsum": lambda: Gate(),
    "average by mean": lambda: nn.Sequential(*conv(3, 8), Mean(), nn.Linear(8, 2)),
    "average by pooling": lambda: nn.Sequential(
        *conv(3, 8, groups=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    ),
    "average by windows": lambda: nn.Sequential(
        *conv(3, 6), *conv(6, 6, groups=3), nn.AvgPool2d(2)
    ),
    "other norms": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=True), nn.GroupNorm(2, 8), nn.GELU(), nn.Upsample(scale_factor=2)
    ),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 2, stride=2), nn.BatchNorm2d(4)),
    "layer norm": lambda: nn.Sequential(nn.Flatten(2), nn.LayerNorm(144), nn.Linear(144, 5)),
    "nothing to learn": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
    "a norm alone": lambda: nn.BatchNorm2d(3),
}


class Mean(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


@pytest.mark.parametrize("name", FOREIGN)
def test_fvcores_convention_is_fvcores_own_number_of_a_module(name: str) -> None:
    module = FOREIGN[name]().eval()
    found = count_module(module, name, resolution=12)
    with without_jit_warnings():
        from fvcore.nn import FlopCountAnalysis

        theirs = FlopCountAnalysis(module, torch.zeros(1, 3, 12, 12))
        theirs.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        total = theirs.total()
    assert found.row("fvcore")["flops"] == total
    table = found.table("fvcore").set_index("part")["flops"]
    assert table["total"] == total == table[:-1].sum()


def test_what_fvcore_leaves_out_is_named() -> None:
    handles = {"aten::cumsum": lambda inputs, outputs: 0}
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Hardswish(), Sum())
    found = count_module(module, "own", resolution=12, handles=handles)
    assert found.fvcore is not None
    assert found.fvcore.left_out == {"aten::hardswish": 1, "aten::cumsum": 1}


class Sum(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.cumsum(1)


class Names(nn.Module):
    """What torch's tracer takes only by its own means: a choice by name."""

    def forward(self, images: torch.Tensor) -> dict[int, object]:
        return {1: images, 2: "a text"}


def test_a_module_that_fvcore_cannot_trace_is_refused_under_its_convention_alone() -> None:
    found = count_module(Names(), "own:Names", resolution=4)
    assert found.row("paper")["flops"] == 0
    with pytest.raises(InvalidSetting, match=r"fvcore cannot count own:Names: .*choose the c"):
        found.row("fvcore")


def test_the_command_says_what_fvcore_leaves_out(users_module: str) -> None:
    command = ("count", f"{users_module}:hard", "--convention", "fvcore")
    assert json.loads(run(*command, "--json"))["left_out"] == {"aten::hardswish": 1}
    said = "leaves out of its flops: aten::hardswish (1 calls)"
    assert said in " ".join(run(*command).split())


# fvcore's count beside ours


class Attention(nn.Module):
    """torch's attention module, and its function by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.flatten(1).reshape(1, -1, 12)
        found = self.layer(rows, rows, rows, need_weights=False)[0]
        return nn.functional.scaled_dot_product_attention(found, rows, rows[..., :6])


@pytest.mark.parametrize("name", [*FOREIGN, "attention"])
def test_every_difference_from_fvcores_count_of_a_module_has_a_reason(name: str) -> None:
    found = count_module((FOREIGN | {"attention": Attention})[name]().eval(), name, resolution=12)
    assert found.fvcore is not None
    assert all(line.explained and line.reason for line in found.check)
    total = found.check_table().set_index("counted").loc["total"]
    assert total["fvcore_says"] == found.fvcore.total
    for convention, flops in CONVENTIONS.items():
        assert total[convention] == flops(found.cost)


def test_a_design_agrees_with_fvcore_in_all_but_what_conventions_leave_out() -> None:
    table = count("mobilenet-v2").check_table().set_index("counted")
    assert table.loc["convolutions and products", "fvcore_says"] == 300_774_272
    assert (table["fvcore_says"] == table["fvcore"]).all()
    assert table.loc["total", "paper"] == 300_774_272


def test_attention_is_what_fvcore_leaves_out() -> None:
    found = count_module(Attention(), "own", resolution=12)
    (line,) = [x for x in found.check if x.what == "scaled_dot_product_attention"]
    # 36 rows of 12: three heads of width 4, then one of width 12 with values of width 6.
    assert line.fvcore == 0
    assert line.ours["paper"] == 36 * 36 * (3 * (4 + 4) + 12 + 6)


def test_a_cost_that_the_caller_gave_has_its_line() -> None:
    handles = {"aten::cumsum": lambda inputs, outputs: 7}
    module = nn.Sequential(nn.Conv2d(3, 4, 3), Sum(), Sum())
    found = count_module(module, "own", resolution=12, handles=handles)
    (line,) = [x for x in found.check if x.what == "aten::cumsum"]
    assert (line.fvcore, line.ours["paper"], line.ours["two-flops"]) == (0, 14, 28)


def test_counts_that_do_not_agree_are_not_explained() -> None:
    """Products, norms and averages that one side saw and the other did not."""
    module = nn.Sequential(*conv(3, 4), nn.AdaptiveAvgPool2d(1))
    honest = count_module(module, "own", resolution=12).cost
    for field in ("macs", "norm_inputs", "pool_inputs"):
        wrong = replace(honest, **{field: getattr(honest, field) + 1})
        lines = compare_counts(wrong, module, resolution=12, priced={})
        assert len([line for line in lines if not line.explained]) == 1
    assert all(x.explained for x in compare_counts(honest, module, resolution=12, priced={}))


def test_the_command_checks_against_fvcore(
    users_module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = " ".join(run("count", "resnet-18", "--check").split())
    assert "norms: fvcore counts 2 for each number" in said
    answer = json.loads(run("count", f"{users_module}:hard", "--check", "--json"))
    kinds = [line["what"] for line in answer["check"]]
    assert kinds == ["convolutions and products", "added biases"]
    unknown = [CountLine("whirl", 3, {}, "we know no such rule", False)]
    monkeypatch.setattr(Count, "check", unknown)
    assert CliRunner().invoke(app, ["count", "resnet-18", "--check", "--json"]).exit_code == 1


def test_a_name_that_is_a_network_and_a_family_is_proposed_once() -> None:
    with pytest.raises(InvalidSetting, match=r"did you mean .* list a family") as told:
        count("mobilenet-v4")
    near = str(told.value).split("did you mean ")[1].split("?")[0].split(" or ")
    assert len(near) == len(set(near)) > 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nets/mine.py", "nets/mine.py is Python code; name what is in it, as nets.mine:NAME"),
        ("./mine.py:small", "./mine.py is Python code; name what is in it, as mine:small"),
        (
            "../mine.py",
            "../mine.py is Python code; name what is in it from its folder, as mine:NAME",
        ),
    ],
)
def test_a_file_of_code_is_no_design_and_the_way_to_name_it_is_said(name: str, said: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        count(name)
    assert str(refused.value) == said
