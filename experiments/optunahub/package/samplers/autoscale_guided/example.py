"""A study with a known cost: parameters that depend on others, a front of two objectives."""

from typing import Any

import optuna
import optunahub

package = optunahub.load_module(package="samplers/autoscale_guided")


def size(params: dict[str, Any]) -> float:
    """Known before anything is trained."""
    return float(params.get("units", 0) + 1)


def objective(trial: optuna.Trial) -> tuple[float, float]:
    rate = trial.suggest_float("rate", 1e-5, 1.0, log=True)
    loss = (rate - 0.01) ** 2
    if trial.suggest_categorical("kind", ["linear", "hidden"]) == "hidden":
        loss += 1 / trial.suggest_int("units", 1, 64, log=True)
    else:
        loss += 1.0
    return loss, size(trial.params)


known = package.KnownCosts(values={1: size})
sampler = package.GuidedSampler(seed=0, known=known)
study = optuna.create_study(sampler=sampler, directions=["minimize", "minimize"])
study.optimize(objective, n_trials=30)
print([trial.values for trial in study.best_trials])
