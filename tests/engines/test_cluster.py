"""Trainings on Ray: what every engine promises, and a node that dies."""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from jobs_for_workers import make

from autoscale.engines.cluster import on_ray
from autoscale.engines.engine import Engine, closing
from autoscale.errors import DataProblem, EvaluationFailed, InvalidSetting

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three local nodes of one CPU each."""
    import ray
    from ray.cluster_utils import Cluster

    # Workers inherit the nodes' environment; the jobs lie beside this file.
    told = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path(__file__).parent)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        nodes = [found.add_node(num_cpus=1) for _ in range(2)]
    found.wait_for_nodes()
    ray.init(address=found.address, log_to_driver=False)
    yield found, nodes
    ray.shutdown()
    found.shutdown()


@pytest.fixture
def engine(cluster: Any, tmp_path: Path) -> Iterator[Engine[Any, Any]]:
    with closing(on_ray(make, str(tmp_path), workers=2, retries=1, limit=20.0)) as made:
        yield made


def test_results_and_errors_come_back(engine: Engine[Any, Any]) -> None:
    futures = [engine.submit(("twice", value)) for value in range(4)]
    assert [future.result() for future in futures] == [0, 2, 4, 6]
    with pytest.raises(EvaluationFailed, match=r"^diverged$"):
        engine.submit(("fail", "diverged")).result()
    with pytest.raises(ZeroDivisionError, match="ours"):
        engine.submit(("mistake", "ours")).result()


def test_the_function_that_runs_jobs_is_made_once_in_a_worker(
    engine: Engine[Any, Any], tmp_path: Path
) -> None:
    pids = {engine.submit(("pid", None)).result() for _ in range(8)}
    assert len(list(tmp_path.glob("start-*"))) == len(pids)


def test_a_worker_that_is_killed_costs_its_job_one_try(
    engine: Engine[Any, Any], tmp_path: Path
) -> None:
    assert engine.submit(("kill once", str(tmp_path / "note"))).result() == "survived"


def test_a_job_that_kills_every_worker_fails(engine: Engine[Any, Any]) -> None:
    with pytest.raises(EvaluationFailed, match=r"died .*, in each of 2 tries"):
        engine.submit(("kill", 9)).result()


def test_a_job_over_the_time_limit_is_cut(cluster: Any, tmp_path: Path) -> None:
    with closing(on_ray(make, str(tmp_path), workers=1, limit=1.0)) as engine:
        with pytest.raises(EvaluationFailed, match=r"over the time limit of 1 s"):
            engine.submit(("sleep", 600)).result()
        assert engine.submit(("twice", 2)).result() == 4


def test_work_that_cannot_be_made_is_the_callers_problem(cluster: Any) -> None:
    with (
        closing(on_ray(make, "broken", workers=1)) as engine,
        pytest.raises(DataProblem, match="no images are left"),
    ):
        engine.submit(("pid", None)).result()


def test_room_that_no_node_has_is_refused_and_not_waited_for(cluster: Any) -> None:
    for wanted in ({"gpus": 1.0}, {"cpus": 8.0}):
        with pytest.raises(InvalidSetting, match="no node of the Ray cluster has"):
            on_ray(make, "anything", workers=1, **wanted)


def test_a_node_that_dies_in_the_middle_costs_no_job(cluster: Any, tmp_path: Path) -> None:
    found, nodes = cluster
    with closing(on_ray(make, str(tmp_path), workers=3, retries=2)) as engine:
        futures = [engine.submit(("sleep", 4.0)) for _ in range(9)]
        while sum(future.running() for future in futures) < 3:
            time.sleep(0.05)
        time.sleep(2.0)
        found.remove_node(nodes[0], allow_graceful=False)
        assert [future.result() for future in futures] == [4.0] * 9
