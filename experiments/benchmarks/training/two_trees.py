"""How much quicker is a training step than in another tree of this project?

    git archive COMMIT | tar x -C OTHER
    OMP_NUM_THREADS=1 python experiments/benchmarks/training/two_trees.py --tree OTHER --rounds 15

One thread. Each tree has a process of its own; they take turns step by step, and processor time of
the thread is counted, so that other work on the machine disturbs both alike. Of each network:
milliseconds of a step, the median and the quickest tenth, and the median of the rounds' ratios with
the least and the greatest.

`--kernels native:native-bfloat16` compares the other tree's float32 with this one's bfloat16.
`--instructions haswell` compiles the kernels of both for that processor, and holds torch to what it
has: how much a processor with fewer instructions would gain, as far as this one can tell.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

UNCOUNTED = 2
HERE = Path(__file__)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tree", type=Path, help="the other tree")
    parser.add_argument(
        "--kernels", default="native:native", help="the other tree's, and this one's"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cases", default="", help="numbers of the cases, 0 is the first; all")
    parser.add_argument("--instructions", default="", help="a processor that g++ knows: haswell")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.worker:
        take_steps(asked.worker, asked.cases)
        return
    if asked.tree is None:
        parser.error("name the other tree with --tree")
    trees = (asked.tree.resolve(), HERE.resolve().parents[3])
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(restricted(asked.instructions))
        workers = [
            stack.enter_context(working(tree, kernels, asked.cases, held))
            for tree, kernels in zip(trees, asked.kernels.split(":"), strict=True)
        ]
        for told in compared(workers, asked.rounds):
            print(json.dumps(told), flush=True)


def compared(
    workers: Sequence["subprocess.Popen[str]"], rounds: int
) -> Iterator[dict[str, object]]:
    """What is told of each case, until the workers have no more."""
    while True:
        names = [_answer(worker, "next") for worker in workers]
        if not all(names):
            return
        seconds: list[list[float]] = [[] for _ in workers]
        losses = [0.0 for _ in workers]
        for _ in range(UNCOUNTED + rounds):
            for number, worker in enumerate(workers):
                took, losses[number] = map(float, _answer(worker, "step").split())
                seconds[number].append(took)
        counted = [times[UNCOUNTED:] for times in seconds]
        ratios = [one / two for one, two in zip(*counted, strict=True)]
        quick = [sorted(times)[len(times) // 10] for times in counted]
        yield {
            "case": names[0],
            "milliseconds": [round(1000 * median(times), 1) for times in counted],
            "quick": [round(1000 * time_, 1) for time_ in quick],
            "ratio": round(median(ratios), 2),
            "least": round(min(ratios), 2),
            "most": round(max(ratios), 2),
            "ratio_of_quick": round(quick[0] / quick[1], 2),
            "last_loss": [round(loss, 5) for loss in losses],
        }


def _answer(worker: "subprocess.Popen[str]", word: str) -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(word + "\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit("a worker ended; what it said is above")
    return answer.strip()


@contextlib.contextmanager
def working(
    tree: Path, kernels: str, cases: str, held: Mapping[str, str]
) -> Iterator["subprocess.Popen[str]"]:
    """A process with the library of a tree."""
    command = [sys.executable, str(HERE), "--worker", kernels, "--cases", cases]
    environment = {**os.environ, **held, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, cwd=tree, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@contextlib.contextmanager
def restricted(instructions: str) -> Iterator[dict[str, str]]:
    """The environment in which neither kernels nor torch use more than these."""
    if not instructions:
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        compiler = Path(folder) / f"compiler-{instructions}"
        compiler.write_text(
            f'#!/bin/sh\nfor word; do shift; set -- "$@" "$(echo "$word" | '
            f'sed s/-march=native/-march={instructions}/)"; done\nexec g++ "$@"\n'
        )
        compiler.chmod(0o755)
        yield {
            "CXX": str(compiler), "XDG_CACHE_HOME": folder, "ONEDNN_MAX_CPU_ISA": "AVX2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        }  # fmt: skip


def take_steps(kernels: str, cases: str) -> None:
    """The worker: a line tells what to do, a line what came of it."""
    import torch
    from timed_steps import chosen, step_of

    torch.set_num_threads(1)
    waiting = iter(chosen(cases))
    for line in sys.stdin:
        if line.strip() == "next":
            case = next(waiting, None)
            step = None if case is None else step_of(case.design, case.images, kernels)
            print("" if case is None else case, flush=True)
            continue
        assert step is not None
        began = time.thread_time()
        loss = step()
        print(time.thread_time() - began, loss, flush=True)


if __name__ == "__main__":
    main()
