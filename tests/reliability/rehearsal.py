"""autoscale with trainings that take a fixed time: `python rehearsal.py search-baseline ...`.

The score follows from network and seed alone. Everything else is real: processes, pipes, images,
journals. Workers import this file with `make_worker`, what they are told to begin with.

    REHEARSAL_SECONDS  of one training
    REHEARSAL_FAULT    what befalls every fourth network: nan, memory, hang, killed
"""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from autoscale.cli.app import main
from autoscale.errors import EvaluationFailed
from autoscale.jobs.workers import pool as worker_pool
from autoscale.jobs.workers.proxy import Proxy
from autoscale.scaling.scalable import Network, cost_of, network_digest
from autoscale.search.objective import Score

SECONDS = float(os.environ.get("REHEARSAL_SECONDS", "0.03"))
FAULT = os.environ.get("REHEARSAL_FAULT", "")


def unlucky(network: Network) -> bool:
    """Whether the fault befalls this network."""
    return bool(FAULT) and int(network_digest(network), 16) % 4 == 0


def train_and_score(proxy: Proxy, network: Network, *, seed: int, **how: Any) -> Score:
    """In place of a training."""
    time.sleep(SECONDS)
    if unlucky(network):
        if FAULT == "nan":
            raise EvaluationFailed("the loss is nan in epoch 1")
        if FAULT == "memory":
            raise MemoryError
        if FAULT == "hang":
            time.sleep(3600)
        if FAULT == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(f"no fault {FAULT!r}")
    counted = cost_of(network)
    digest = hashlib.sha256(f"{network_digest(network)}/{seed}".encode()).digest()
    return Score(
        accuracy=int.from_bytes(digest[:4], "big") / 2**32,
        macs=counted.macs,
        params=counted.params,
        activations=counted.activations,
        seconds=SECONDS,
    )


worker_pool.train_and_score = train_and_score
worker_pool.estimate_seconds = lambda proxy, networks: SECONDS * len(networks)

begin = worker_pool.make_worker


def make_worker(
    proxy: Proxy,
) -> Callable[[worker_pool.TrainingRequest], worker_pool.TrainingResult]:
    """What a worker begins with; that it is looked up here has replaced trainings."""
    return begin(proxy)


if __name__ == "__main__":
    import rehearsal  # by the name that workers find

    worker_pool.make_worker = rehearsal.make_worker
    sys.exit(main())
