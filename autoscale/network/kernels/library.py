"""Compile the C++ sources for this machine, on its cores, with the compiler that is there."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch

from autoscale.errors import AutoscaleError

#: What maps are made of, and what the compiler is told of it.
MAPS: Mapping[torch.dtype, tuple[str, ...]] = {
    torch.float32: (),
    torch.bfloat16: ("-DBFLOAT16_MAPS",),
}
#: What takes longest to compile stands first, so that the cores finish together.
SOURCES = tuple(
    Path(__file__).with_name(f"{name}.cpp")
    for name in ("widening", "depthwise", "excited", "bottleneck", "norm", "crops")
)
#: What they include; the compiler finds it beside them.
HEADERS = tuple(
    Path(__file__).with_name(f"{name}.h")
    for name in (
        *("vectors", "activations", "norm", "depthwise", "excite"),
        *("outcome", "pairs", "rows", "dots", "fmas", "tiles", "ways", "bottleneck"),
    )
)
COMPILERS = ("c++", "g++", "clang++")
_PLAIN = (
    "-std=c++17", "-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math",
    "-ffp-contract=fast",
)  # fmt: skip
# For this processor's instructions and with threads; each step does without something.
_TUNED = ("-march=native", "-mprefer-vector-width=512")
_ATTEMPTS = (
    (*_PLAIN, *_TUNED, "-fopenmp"),
    (*_PLAIN, "-march=native", "-fopenmp"),
    (*_PLAIN, "-mcpu=native", "-fopenmp"),
    (*_PLAIN, "-fopenmp"),
    _PLAIN,
)
_PATIENCE = 300  # seconds; the longest source takes 12 on a free core


class KernelsUnavailable(AutoscaleError):
    """There is no compiler, or what it makes does not work."""


def compiler() -> str | None:
    """The command of the C++ compiler: what CXX names, or the first one found."""
    named = os.environ.get("CXX", "").strip()
    return next(
        (found for name in (named, *COMPILERS) if name and (found := shutil.which(name))), None
    )


@cache
def library_name(maps: torch.dtype = torch.float32) -> str:
    """A file name that changes with the source, the compiler, the processor and torch.

    Args:
        maps: one of `MAPS`.

    Raises:
        KernelsUnavailable: if there is no compiler.
    """
    parts = (
        *(source.read_text(encoding="utf-8") for source in (*SOURCES, *HEADERS)),
        MAPS[maps],
        _ATTEMPTS,
        _version(),
        _processor(),
        torch.__version__,
    )
    return f"kernels-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}.so"


def compile_kernels(target: Path, maps: torch.dtype = torch.float32) -> None:
    """Write the shared library to `target`.

    Args:
        maps: one of `MAPS`.

    Raises:
        KernelsUnavailable: if there is no compiler, or it cannot compile the source.
    """
    command, said = _found(), None
    with tempfile.TemporaryDirectory(prefix="autoscale-kernels-") as folder:
        objects = [str(Path(folder, f"{source.stem}.o")) for source in SOURCES]
        for flags in _ATTEMPTS:
            told = (command, *flags, *MAPS[maps])
            compiled = zip(SOURCES, objects, strict=True)
            said = _at_once((*told, "-c", str(one), "-o", made) for one, made in compiled)
            if said is None:
                said = _refusal((*told, *objects, "-o", str(target)))
                if said is None:
                    return
    lines = [line for line in (said or "").splitlines() if "error" in line] or ["no message"]
    raise KernelsUnavailable(f"{command} cannot compile the kernels: {lines[0].strip()}")


def _at_once(commands: Iterable[Sequence[str]]) -> str | None:
    """What the first of the commands to be refused is told; as many run at once as have a core."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(usable) as threads:
        return next((said for said in threads.map(_refusal, commands) if said is not None), None)


def _refusal(command: Sequence[str]) -> str | None:
    """What the compiler says when it fails, and nothing when it does not."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise KernelsUnavailable(f"{command[0]} did not finish: {problem}") from None
    return None if done.returncode == 0 else done.stderr


def _found() -> str:
    command = compiler()
    if command is None:
        raise KernelsUnavailable(
            f"no C++ compiler is found ({', '.join(COMPILERS)}); install one, or name it in CXX"
        )
    return command


def _version() -> str:
    try:
        done = subprocess.run([_found(), "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise KernelsUnavailable(f"{_found()} --version did not finish: {problem}") from None
    return done.stdout


def _processor() -> str:
    """What decides which instructions `native` may use."""
    described = Path("/proc/cpuinfo")
    if not described.exists():
        return platform.platform() + platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    lines = described.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
