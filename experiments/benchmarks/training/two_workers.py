"""How much faster two workers train on two cores than one worker on one.

    python experiments/benchmarks/training/two_workers.py --trials 12

Real trainings of random networks of a space, through the boundary that searches use; the workers'
start and the loading of images are left out. It wants a machine that does nothing else. `--pin`
gives each worker a core of its own.
"""

import argparse
import random
import statistics
import time
from concurrent.futures import wait

from autoscale.engines.engine import closing
from autoscale.engines.local import local
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.pool import TrainingRequest, make_worker
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--space", default="mbconv-small")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pin", action="store_true")
    asked = parser.parse_args()
    space = load_space(asked.space)
    proxy = Proxy(
        source=ImageSource(data=asked.data),
        recipe=recipe_named("proxy", epochs=asked.epochs),
        kernels=choose_kernels("auto", device="cpu", listener=Silent()),
    )
    proxy = proxy.load(size=max(space.resolution))
    fitted = space.for_task(resolution=None, num_classes=len(proxy.images.classes))
    rng = random.Random(0)
    orders = [TrainingRequest(network=fitted.sample(rng), seed=0) for _ in range(asked.trials)]
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(asked.repeats):
        for workers, found in rates.items():
            with closing(
                local(make_worker, proxy.for_worker(), workers=workers, cores=1 if asked.pin else 0)
            ) as engine:
                wait([engine.submit(orders[0]) for _ in range(workers)])  # all are up and warm
                started = time.perf_counter()
                for future in [engine.submit(order) for order in orders]:
                    future.result()
                found.append(len(orders) / (time.perf_counter() - started))
                print(f"{workers} workers: {found[-1]:.3f} trainings a second", flush=True)
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    print(
        f"2 workers on two cores against 1 on one{', pinned' if asked.pin else ''}: "
        f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
