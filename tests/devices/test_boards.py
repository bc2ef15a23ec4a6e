"""Boards: what they hold, what they leave, and what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.design.measures.latency import Latency
from autoscale.design.measures.ram import Ram
from autoscale.design.published import published
from autoscale.devices.board import Board, Reserve
from autoscale.devices.boards import board_names, board_text, load_board
from autoscale.errors import InvalidSetting

PICO = load_board("raspberry-pi-pico")


@pytest.mark.parametrize("name", board_names())
def test_a_shipped_board_bears_its_files_name_and_says_where_its_figures_come_from(
    name: str,
) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.description
    assert board.source
    assert board.milliseconds is None  # none was timed
    assert board.limits()


def test_the_figures_are_those_of_the_data_sheets() -> None:
    left = {name: load_board(name).left for name in board_names() if name != "here"}
    assert left == {
        "coral-edge-tpu": (8_000_000, None),
        "esp32-s3": (3_145_728, 327_680),
        "nano-33-ble-sense": (983_040, 262_144),
        "raspberry-pi-4": (None, 1_073_741_824),
        "raspberry-pi-5": (None, 4_294_967_296),
        "raspberry-pi-pico": (2_097_152, 270_336),
        "stm32h747-m7": (1_048_576, 524_288),
    }


def test_a_reserve_is_taken_off_and_told() -> None:
    board = replace(PICO, reserve=Reserve(flash=97_152, ram=70_336))
    assert [(limit.measure.name, limit.most) for limit in board.limits()] == [
        ("flash", 2_000_000), ("ram", 200_000)
    ]  # fmt: skip
    assert board.said == (
        "raspberry-pi-pico leaves a network 2,000,000 bytes of flash and 200,000 bytes of RAM; "
        "97,152 and 70,336 bytes are kept for the firmware"
    )
    assert PICO.said.endswith("nothing is kept for the firmware; a board file of your own says how "
                              "much")  # fmt: skip


def test_a_runtime_that_loads_the_file_needs_ram_for_it() -> None:
    design = replace(published("efficientnet-lite0"), resolution=64)
    flash, ram = PICO.fit(design)
    (loaded,) = replace(PICO, runtime="litert", flash=None).fit(design)
    assert loaded.cost == flash.cost + ram.cost
    assert not flash.fits


def test_milliseconds_are_claimed_of_this_machine_alone() -> None:
    with pytest.raises(InvalidSetting, match="nothing was timed on raspberry-pi-pico, so no limit"):
        replace(PICO, milliseconds=20.0)
    here = replace(load_board("here"), milliseconds=20.0)
    assert here.limits()[-1].measure == Latency()
    assert [fit.limit.measure.name for fit in here.fit(published("resnet-18"))] == ["ram"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "name: a\nram: 256KB",
            "a.yaml:2:1: ram: not a number of bytes: '256KB'; write 256KiB for",
        ),
        ("name: a\nram: 0", "ram must be above 0, got 0"),
        ("name: a\nram: 64K\nreserve: {ram: 64K}", "ram of 64,000 bytes leaves nothing beside the"),
        ("name: a\nreserve: {ram: -1}", "reserve.ram must be at least 0, got -1"),
        ("name: a\nrom: 64K", "a.yaml:2:1: rom: unknown key; did you mean ram"),
        ("name: a\ndtype: int4", "a.yaml:2:1: dtype: input should be 'int8' or 'float32'"),
        ("name: a\nruntime: tensorrt", "no runtime 'tensorrt'; choose from tflite-micro, eager, "),
        (
            "name: a\nhere: true\nmilliseconds: 8",
            "tflite-micro is not timed here, so no limit of 8 ms can be kept; say runtime: with",
        ),
        ("ram: 64K", "name: missing"),
        ("kind: space\nname: a", "expected board, got 'space'"),
    ],
)
def test_what_is_no_board_is_refused_with_line_and_key(text: str, said: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        Board.from_yaml(text, source="a.yaml")
    assert said in str(refused.value)


def test_a_board_of_ones_own_is_a_shipped_one_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(board_text("raspberry-pi-pico").replace("264KiB", "64K"))
    assert load_board(str(file)).left == (2_097_152, 64_000)
    with pytest.raises(InvalidSetting, match="no board 'picco'; choose from coral-edge-tpu, esp32"):
        load_board("picco")


def test_the_table_says_what_is_left() -> None:
    table = autoscale.boards().set_index("board")
    assert table.loc["nano-33-ble-sense", "flash"] == 1_048_576
    assert table.loc["nano-33-ble-sense", "flash_left"] == 983_040
    assert table.loc["raspberry-pi-5", "flash":"flash"].isna().all()


def test_count_says_what_fits_and_its_exit_status_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["count", "efficientnet-lite0", "--resolution", "64", "--board"]
    assert main([*asked, "raspberry-pi-pico", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["board"]
    assert [one["fits"] for one in found] == [False, False]
    design = replace(published("efficientnet-lite0"), resolution=64)
    assert found[1]["needs"] == Ram().of(design)
    assert main([*asked, "raspberry-pi-5"]) == 0
    assert "bytes of RAM of 4,294,967,296: fits." in " ".join(capsys.readouterr().out.split())
    (tmp_path / "b.yaml").write_text("kind: board\nname: b\nram: 1\n")
    assert main([*asked, str(tmp_path / "b.yaml")]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"does not fit, \d+,\d+ times that", said)  # no powers of ten
    assert main(["count", "torch.nn:Identity", "--board", "raspberry-pi-pico"]) == 2
    assert "flash and RAM follow from the layers of a design" in " ".join(
        capsys.readouterr().err.split()
    )


def test_boards_prints_a_file_that_is_read_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["boards", "--board", "esp32-s3"]) == 0
    assert Board.from_yaml(capsys.readouterr().out) == load_board("esp32-s3")
    assert main(["boards", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["boards"]
    assert [row["board"] for row in rows] == board_names()
    assert rows[0]["ram"] is None


def test_count_says_that_it_times_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "pc.yaml").write_text(
        "name: pc\nhere: true\nruntime: litert\nram: 1GiB\nmilliseconds: 8\n"
    )
    board = str(tmp_path / "pc.yaml")
    assert main(["count", "efficientnet-lite0", "--resolution", "64", "--board", board]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "its 8 ms are not checked, for nothing is timed here" in said
    assert "--runtime litert --dtype int8 times it" in said
