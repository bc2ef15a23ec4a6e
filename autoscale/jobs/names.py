"""Names of what registries hold, for the settings and their help: reading them loads no library.

A test compares each with its registry.
"""

#: Of `search.samplers.SAMPLERS`, which loads Optuna.
SAMPLERS = ("guided", "evolution", "controller", "random", "tpe", "nsga2", "gp")
#: Of `search.objective.Objective`.
OBJECTIVES = ("hard", "soft", "front")
#: What a search may take for cost, of `search.objective.Measure`.
SEARCH_COSTS = ("macs", "latency")
#: Of `training.recipe.RECIPES`.
RECIPES = ("proxy", "full", "sgd", "small-images", "efficientnet")
#: Of `jobs.workers.kernels.KERNELS`, which loads torch; "auto" takes the fastest that there is.
KERNELS = ("native", "torch", "none")
#: Of `design.rounding.ROUNDINGS`.
ROUNDINGS = ("tf", "nearest", "lite", "v2", "mobilenet-v2", "tinynet", "int")
#: What a budget may limit by counting, of `design.budget.MEASURES`.
MEASURES = ("macs", "params", "activations", "memory")
#: Where trainings may be done, of `jobs.workers.pool`.
ENGINES = ("local", "ray")


def listed(names: tuple[str, ...], word: str = "or") -> str:
    """Names as a sentence lists them: proxy, full or sgd."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last
