import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autoscale.errors import InvalidSetting
from autoscale.jobs.workers import kernels
from autoscale.jobs.workers.kernels import choose_kernels, load_kernels
from autoscale.listener import Silent
from autoscale.network.kernels import library
from autoscale.network.kernels.library import KernelsUnavailable, compile_kernels, library_name
from tests.conftest import Heard


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CXX", raising=False)
    library_name.cache_clear()
    load_kernels.cache_clear()


def test_without_a_compiler_torch_computes_and_one_line_says_so(no_compiler: None) -> None:
    heard = Heard()
    assert choose_kernels("auto", device="cpu", listener=heard) == "torch"
    assert len(heard.notices) == 1
    assert "no C++ compiler is found" in heard.notices[0]
    load_kernels.cache_clear()


def test_native_kernels_that_were_asked_for_are_refused_without_a_compiler(
    no_compiler: None,
) -> None:
    with pytest.raises(KernelsUnavailable, match="install one, or name it in CXX"):
        choose_kernels("native", device="cpu", listener=Silent())
    load_kernels.cache_clear()


def write_compiler(path: Path, script: str, patch: pytest.MonkeyPatch) -> None:
    """A compiler that does what `script` says; $made is the file it is asked for."""
    last = "for made; do :; done"  # the last argument is what is made
    path.write_text(f"#!/bin/sh\n{last}\n{script}")
    path.chmod(0o755)
    patch.setenv("CXX", str(path))


def test_a_compiler_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo 'x: error: it is Monday' >&2\nexit 1\n"
    write_compiler(tmp_path / "broken++", script, monkeypatch)
    with pytest.raises(KernelsUnavailable, match=r"broken\+\+ cannot compile .* it is Monday"):
        compile_kernels(tmp_path / "kernels.so")


def test_sources_are_compiled_at_once_where_cores_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two each wait until both are there; one after the other they would give up."""
    script = f"""
cd {tmp_path}
echo "$@" >> asked
case "$made" in *.o)
  touch "$(basename "$made").began"
  for second in 1 2 3 4 5; do
    test "$(ls | grep -c began)" -ge 2 && break
    sleep 1
  done
  test "$(ls | grep -c began)" -ge 2 || exit 1
esac
echo compiled > "$made"
"""
    write_compiler(tmp_path / "waiting++", script, monkeypatch)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    compile_kernels(tmp_path / "kernels.so")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == len(library.SOURCES) + 1
    assert all(source.with_suffix(".o").name in asked[-1] for source in library.SOURCES)
    assert not any(Path(word).exists() for word in asked[-1].split() if word.endswith(".o"))


def test_one_source_that_does_not_compile_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
case "$made" in *norm.o) echo 'norm.cpp:1: error: no such vector' >&2; exit 1;; esac
echo compiled > "$made"
"""
    write_compiler(tmp_path / "narrow++", script, monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(
        KernelsUnavailable, match=r"narrow\+\+ cannot .*: norm.cpp:1: error: no such"
    ):
        compile_kernels(tmp_path / "kernels.so")
    assert [path.name for path in tmp_path.iterdir()] == ["narrow++"]


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="choose from auto, native, torch, none"):
        choose_kernels("fast", device="cpu", listener=Silent())


def test_other_devices_train_the_network_as_it_is() -> None:
    assert choose_kernels("auto", device="cuda:0", listener=Silent()) == "none"


def test_bfloat16_takes_native_kernels_and_no_others() -> None:
    with pytest.raises(InvalidSetting, match=r"bfloat16 needs native kernels, .* --kernels torch;"):
        choose_kernels("torch", precision="bfloat16", device="cpu", listener=Silent())
    with pytest.raises(InvalidSetting, match="choose from float32, bfloat16, auto"):
        choose_kernels("auto", precision="half", device="cpu", listener=Silent())
    # Graphics cards multiply bfloat16 whatever is asked for.
    assert (
        choose_kernels("auto", precision="bfloat16", device="cuda:0", listener=Silent()) == "none"
    )


def test_bfloat16_that_was_asked_for_is_refused_without_a_compiler(no_compiler: None) -> None:
    with pytest.raises(KernelsUnavailable, match="install one, or name it in CXX"):
        choose_kernels("auto", precision="bfloat16", device="cpu", listener=Silent())
    assert choose_kernels("auto", precision="auto", device="cpu", listener=Silent()) == "torch"
    load_kernels.cache_clear()


@pytest.mark.skipif(library.compiler() is None, reason="there is no C++ compiler here")
@pytest.mark.parametrize("multiplies", [True, False])
def test_auto_takes_bfloat16_where_the_processor_multiplies_it(
    multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda: multiplies)
    for choice in ("auto", "native"):
        found = choose_kernels(choice, precision="auto", device="cpu", listener=Silent())
        assert found == ("native-bfloat16" if multiplies else "native")
    for name in ("torch", "none"):
        assert choose_kernels(name, precision="auto", device="cpu", listener=Silent()) == name


@pytest.mark.skipif(library.compiler() is None, reason="there is no C++ compiler here")
def test_several_processes_may_compile_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from autoscale.runs.cache import cached\n"
        "def make(path):\n"
        "    Path(sys.argv[1], 'made').open('a').write('x'); time.sleep(0.5)\n"
        "    path.write_text('whole')\n"
        "print(cached('one', make, folder=Path(sys.argv[1])).read_text())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == ["whole"] * 3
    assert (tmp_path / "made").read_text() == "x"


def test_the_recorded_choice_stays_when_the_compiler_goes(no_compiler: None) -> None:
    from torch import nn

    with pytest.raises(KernelsUnavailable, match=r"this run trains with native .* another --run"):
        kernels.accelerated(nn.Linear(1, 1), "native")
    load_kernels.cache_clear()


def test_the_library_s_name_depends_on_every_file_that_is_compiled() -> None:
    folder = Path(library.__file__).parent
    files = {*folder.glob("*.cpp"), *folder.glob("*.h")}
    assert files == {*library.SOURCES, *library.HEADERS}
