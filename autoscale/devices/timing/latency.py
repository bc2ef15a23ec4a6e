"""How long one forward pass takes on this device, and how sure that is.

A shared machine changes its speed from second to second, so passes are timed in blocks: what
differs between blocks is how little is known, however many passes there were. Several networks
take turns, block by block, and so share the machine's good and bad moments; what these have in
common is taken out of `steady_ms`, by which they are compared.
"""

import copy
import math
import platform
import random
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path

import torch
from torch import nn

from autoscale.aspect import SQUARE, Aspect
from autoscale.design.architecture import Architecture
from autoscale.design.measures.latency import TimedIn
from autoscale.devices.runtimes.registry import RUNTIMES
from autoscale.devices.runtimes.runtime import MemoryFormat, Pass, Precision, Subject
from autoscale.devices.timing.conditions import LEAST_BLOCKS, Clock, Conditions
from autoscale.devices.timing.pace import steady_times
from autoscale.errors import AutoscaleError, InvalidSetting, cause
from autoscale.network.build import build
from autoscale.network.fold import fold_norms
from autoscale.network.image import image_shape
from autoscale.network.threads import threads_of_torch
from autoscale.settings.function import takes_settings

#: Passes of a block together take about this long, so that reading the clock costs nothing.
BLOCK_SECONDS = 0.1
#: Standard error of a median / that of a mean, for many normal values: sqrt(pi / 2).
MEDIAN_PENALTY = 1.2533


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The time of one forward pass of `batch` images, in milliseconds.

    `low_ms` and `high_ms` are the 10th and 90th percentile of the timed passes.
    `standard_error_ms` is that of the median while the machine behaves as it did meanwhile; another
    minute may be another machine, so two measurements are held against `low_ms` and `high_ms`.
    `steady_ms` is the time at the machine's median pace; networks that took turns are compared by
    it. For a network that was measured alone it is the median of its blocks.
    """

    median_ms: float
    steady_ms: float
    low_ms: float
    high_ms: float
    standard_error_ms: float
    repeats: int  # timed passes
    blocks: int  # in which they were timed
    warm_up: int  # untimed passes
    batch: int  # images of a pass
    resolution: int  # pixels of the height of an image
    threads: int
    dtype: Precision
    runtime: str
    device: str
    hardware: str  # the name of the processor or graphics card
    clock: Clock
    folded: bool  # batch norms went into the convolutions before them
    settled: bool  # the standard error reached what was asked
    memory_format: MemoryFormat = "channels-last"
    version: str = ""  # of the runtime and what converts for it: "ncnn 1.0.20261020, pnnx 20261020"

    @property
    def timed_in(self) -> TimedIn:
        """What a prediction from it holds for."""
        return TimedIn(
            runtime=self.runtime,
            dtype=self.dtype,
            threads=self.threads,
            version=self.version,
            hardware=self.hardware,
        )

    def agrees_with(self, other: "Latency") -> bool:
        """Whether the ranges of the two, from `low_ms` to `high_ms`, overlap."""
        return self.low_ms <= other.high_ms and other.low_ms <= self.high_ms

    @property
    def images_per_second(self) -> float:
        """Images that pass in a second, one pass after another."""
        return 1000 * self.batch / self.median_ms


@takes_settings(Conditions)
def measure_latency(
    network: nn.Module | Architecture,
    *,
    settings: Conditions,
    resolution: int | None = None,
    aspect: Aspect | None = None,
) -> Latency:
    """How long `network` takes for one batch of noise.

    Args:
        network: takes images of `image.image_shape`; it is copied and stays as it is. An
            architecture is built with random weights.
        resolution: pixels of an image's height; an architecture's own, or 224 for a module, if not
            given.
        aspect: its width divided by its height; an architecture's own, or that of a square, if not
            given.

    Raises:
        InvalidSetting: for a setting that cannot be, a runtime that is not installed, or a network
            that does not take such images or is none of the runtime's.
        InvalidArchitecture: for a design with layers that the runtime lacks.
    """
    found: list[Latency] = measure_latencies(
        [network], settings, resolution=resolution, aspect=aspect
    )
    return found[0]


@takes_settings(Conditions)
def measure_latencies(
    networks: Sequence[nn.Module | Architecture],
    *,
    settings: Conditions,
    resolution: int | Sequence[int] | None = None,
    aspect: Aspect | None = None,
) -> list[Latency]:
    """The same for several networks that take turns, so that their ratios can be trusted.

    `resolution` may hold one for each network. Each block begins with an untimed pass, since the
    other networks emptied the caches. The order of a round is drawn, always the same way.

    Raises:
        InvalidSetting: for a setting that cannot be, or a network that does not take such images.
    """
    turns = len(networks) > 1
    RUNTIMES[settings.runtime].require()
    with threads_of_torch(settings.threads):
        each = resolution if isinstance(resolution, Sequence) else [resolution] * len(networks)
        subjects = [
            _subject(network, pixels, aspect, settings)
            for network, pixels in zip(networks, each, strict=True)
        ]
        order = random.Random(0)
        took: list[int] = []  # whose turn it was
        while unfinished := [n for n, s in enumerate(subjects) if not s.finished(settings)]:
            for number in order.sample(unfinished, len(unfinished)):
                subjects[number].time_block(settings, warm=not turns)
                took.append(number)
    steady = _steady(subjects, took)
    return [subject.latency(settings, s) for subject, s in zip(subjects, steady, strict=True)]


def _steady(subjects: Sequence["_Subject"], took: Sequence[int]) -> list[float]:
    """Seconds of a pass of each at the machine's median pace."""
    blocks = [iter(subject.blocks) for subject in subjects]
    # Clocks count nanoseconds; a pass that took none would have no logarithm.
    seconds = [max(statistics.median(next(blocks[number])), 1e-9) for number in took]
    return list(map(float, steady_times(took, seconds)))


@dataclass(kw_only=True)
class _Subject:
    """One network being measured."""

    run: Pass  # one pass, finished when it returns
    resolution: int
    per_block: int  # passes
    warm_up: int
    blocks: list[list[float]] = field(default_factory=list)  # seconds of each pass
    spent: float = 0.0  # seconds of real time

    @property
    def passes(self) -> list[float]:
        return [seconds for block in self.blocks for seconds in block]

    @property
    def standard_error(self) -> float:
        """Standard error of the median, in seconds, by batch means (Conway 1963).

        Neighbouring blocks resemble each other, so they are joined to about the square root of
        their number, and only these are taken as independent.
        """
        count = max(LEAST_BLOCKS, math.isqrt(len(self.blocks)))
        edges = [len(self.blocks) * edge // count for edge in range(count + 1)]
        medians = [
            statistics.median(chain.from_iterable(self.blocks[begin:end]))
            for begin, end in pairwise(edges)
        ]
        return MEDIAN_PENALTY * statistics.stdev(medians) / math.sqrt(count)

    def settled(self, asked: Conditions) -> bool:
        return self.standard_error <= asked.precision * statistics.median(self.passes)

    def finished(self, asked: Conditions) -> bool:
        if asked.repeats is not None:
            return len(self.passes) >= asked.repeats
        if len(self.blocks) < LEAST_BLOCKS:
            return False
        return self.spent >= asked.seconds or self.settled(asked)

    def time_block(self, asked: Conditions, *, warm: bool) -> None:
        begin = time.perf_counter()
        clock = time.perf_counter if asked.clock == "wall" else time.process_time
        if not warm:
            self.run()
            self.warm_up += 1
        passes = self.per_block
        if asked.repeats is not None:
            share = max(1, asked.repeats // LEAST_BLOCKS)
            passes = min(passes, share, asked.repeats - len(self.passes))
        times = []
        for _ in range(passes):
            start = clock()
            self.run()
            times.append(clock() - start)
        self.blocks.append(times)
        self.spent += time.perf_counter() - begin

    def latency(self, asked: Conditions, steady: float) -> Latency:
        deciles = statistics.quantiles(self.passes, n=10, method="inclusive")
        return Latency(
            median_ms=1000 * deciles[4],
            steady_ms=1000 * steady,
            low_ms=1000 * deciles[0],
            high_ms=1000 * deciles[8],
            standard_error_ms=1000 * self.standard_error,
            repeats=len(self.passes),
            blocks=len(self.blocks),
            warm_up=self.warm_up,
            batch=asked.batch,
            resolution=self.resolution,
            threads=asked.threads,
            dtype=asked.dtype,
            runtime=asked.runtime,
            device=asked.device,
            hardware=hardware(asked.device),
            clock=asked.clock,
            folded=asked.fold,
            settled=self.settled(asked),
            memory_format=asked.layout,
            version=RUNTIMES[asked.runtime].version,
        )


def _subject(
    network: nn.Module | Architecture,
    resolution: int | None,
    aspect: Aspect | None,
    asked: Conditions,
) -> _Subject:
    """The network made ready and warm."""
    design = network if isinstance(network, Architecture) else None
    resolution = resolution or (224 if design is None else design.resolution)
    aspect = aspect or (SQUARE if design is None else design.aspect)
    design = design and replace(design, resolution=resolution, aspect=aspect)
    module = network if isinstance(network, nn.Module) else build(network)
    shape = image_shape(module, resolution, aspect, batch=asked.batch)
    try:
        run = _made_ready(module, design, shape, asked)
        run()  # allocates, chooses kernels, compiles
        warm_up = 0
        begin = time.perf_counter()
        while warm_up == 0 or time.perf_counter() - begin < BLOCK_SECONDS:
            run()
            warm_up += 1
        per_pass = (time.perf_counter() - begin) / warm_up
    except AutoscaleError:
        raise
    except Exception as problem:  # the user's code may raise anything
        raise InvalidSetting(
            f"{type(module).__name__} does not run on images of shape {shape} with "
            f"{asked.runtime} in {asked.dtype} on {asked.device}: {cause(problem)}; correct it or "
            "try other settings"
        ) from problem
    return _Subject(
        run=run,
        resolution=resolution,
        per_block=max(1, round(BLOCK_SECONDS / per_pass)),
        warm_up=warm_up + 1,
    )


def _made_ready(
    module: nn.Module, design: Architecture | None, shape: tuple[int, ...], asked: Conditions
) -> Pass:
    """A copy of the network in the runtime, for images of that shape."""
    return RUNTIMES[asked.runtime].ready(
        Subject(
            network=fold_norms(module) if asked.fold else copy.deepcopy(module).eval(),
            design=design,
            folded=asked.fold,
            images=torch.randn(shape, generator=_noise()),
        ),
        asked,
    )


def _noise() -> torch.Generator:
    """Measuring leaves torch's global generator alone."""
    return torch.Generator().manual_seed(0)


def hardware(device: str) -> str:
    """What the maker calls the device; the kind of machine if nobody says."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    described = Path("/proc/cpuinfo")
    if described.exists():
        named = re.search(r"^model name\s*:\s*(.+)$", described.read_text(errors="replace"), re.M)
        if named:
            return named.group(1)
    return platform.processor() or platform.machine()
