"""The memory of activations: which are alive together, and where each is put.

TensorFlow Lite Micro runs the operations in the order of the file and gives every activation a
place in one arena before the first runs. Its planner puts the largest first, each into the first
gap that no buffer alive at the same time reaches into. What is alive together at the worst moment
is the least that any planner needs; gaps that stay empty come on top.

Sources: David et al. 2021, "TensorFlow Lite Micro", section 4.4; Pisarchyk & Lee 2020, "Efficient
memory management for deep neural net inference", greedy by size.
"""

from collections.abc import Sequence
from typing import NamedTuple

from autoscale.design.tflite.operations import Graph

#: Bytes that every buffer of the arena begins at a multiple of.
ALIGNMENT = 16
#: Bytes in which a mean adds up.
_SUM = 4


class Buffer(NamedTuple):
    """Bytes that are needed from one operation to another, both included."""

    bytes: int
    first: int
    last: int


def buffers(graph: Graph, number: int) -> list[Buffer]:
    """The activations of a graph, and what some operations need for themselves, aligned.

    Args:
        number: bytes of a number.
    """
    last = list(range(len(graph.tensors)))  # a tensor's number is also the step that makes it
    for step, operation in enumerate(graph.operations, start=1):
        for given in operation.inputs:
            last[given] = step
    last[-1] = len(graph.operations)
    found = [
        Buffer(aligned(tensor.numbers * number), first, end)
        for first, (tensor, end) in enumerate(zip(graph.tensors, last, strict=True))
    ]
    if number == 1:  # a mean of whole numbers adds up in larger ones
        found += [
            Buffer(aligned(graph.tensors[step].numbers * _SUM), step, step)
            for step, operation in enumerate(graph.operations, start=1)
            if operation.kind == "mean"
        ]
    return found


def most_alive(buffers: Sequence[Buffer]) -> int:
    """Bytes alive together at the worst moment: the least that any plan needs."""
    changes: dict[int, int] = {}
    for buffer in buffers:
        changes[buffer.first] = changes.get(buffer.first, 0) + buffer.bytes
        changes[buffer.last + 1] = changes.get(buffer.last + 1, 0) - buffer.bytes
    most = alive = 0
    for moment in sorted(changes):
        alive += changes[moment]
        most = max(most, alive)
    return most


def greedy_plan(buffers: Sequence[Buffer]) -> list[int]:
    """Where each buffer begins, in their order; of equally large ones the later goes first."""
    offsets = [0] * len(buffers)
    placed: dict[int, list[tuple[int, int]]] = {}  # begin and end, by the moments of the life
    for number in sorted(range(len(buffers)), key=lambda n: (-buffers[n].bytes, -n)):
        wanted, first, last = buffers[number]
        moments = range(first, last + 1)
        beside = {entry for moment in moments for entry in placed.get(moment, ())}
        offset = 0
        for begin, end in sorted(beside):
            if begin - offset >= wanted:
                break
            offset = max(offset, end)
        offsets[number] = offset
        for moment in moments:
            placed.setdefault(moment, []).append((offset, offset + wanted))
    return offsets


def planned(buffers: Sequence[Buffer]) -> int:
    """Bytes of the arena that the greedy plan needs."""
    ends = (o + b.bytes for o, b in zip(greedy_plan(buffers), buffers, strict=True))
    return max(ends, default=0)


def aligned(amount: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-amount // ALIGNMENT) * ALIGNMENT
