"""What networks take when they took turns on a machine that changes its pace.

A virtual core runs fast for some seconds and slow for others, by half and more, whatever it is
asked to do. Networks that follow each other closely see the same pace. So the time of a turn is
taken as a network's time multiplied by the pace of that moment, and the pace is told by the turns
around it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

#: Turns before and after one that tell the pace of it.
REACH = 5
#: Alternations; the estimates of the tests settle within ten.
ROUNDS = 30


def steady_times(networks: Sequence[int], seconds: Sequence[float]) -> NDArray[np.float64]:
    """The time of each network at the machine's median pace.

    Networks and pace are estimated in turns, each by medians of what the other leaves, on the
    logarithms of the times. Source: median polish (Tukey 1977, "Exploratory Data Analysis",
    chapter 11), with a running median in place of one of its two factors.

    Args:
        networks: which network ran, for each turn in the order of time; every number from 0 to the
            largest occurs. An order drawn anew each round tells networks and pace apart best.
        seconds: the time of one pass in each turn, above 0.
    """
    who, times = np.asarray(networks), np.log(np.asarray(seconds, dtype=float))
    turns_of = [np.flatnonzero(who == network) for network in range(int(who.max()) + 1)]

    def each(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([np.median(values[turns]) for turns in turns_of])

    found = each(times)
    if len(found) > 1:
        for _ in range(ROUNDS):
            pace = _running_median(times - found[who])
            found = each(times - (pace - np.median(pace)))
    return np.exp(found)


def _running_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = min(REACH, len(values) - 1)
    around = np.pad(values, reach, mode="reflect")
    medians: NDArray[np.float64] = np.median(sliding_window_view(around, 2 * reach + 1), axis=1)
    return medians
