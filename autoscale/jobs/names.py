"""Names of what registries hold, for settings and their help; reading them loads no library.

A test compares each with its registry.
"""

#: The folder of a run's search.
SEARCH = "search"
#: Of `search.samplers.SAMPLERS`, which loads Optuna.
SAMPLERS = ("guided", "evolution", "controller", "random", "tpe", "nsga2", "gp")
#: Of `search.objective.Objective`, and what each maximises.
OBJECTIVES = {
    "hard": "best accuracy up to the target",
    "soft": "accuracy * (cost/target)^w, the papers' reward",
    "front": "accuracy and cost apart",
}
#: What computes trainings. They differ in the last digits.
KERNELS = {
    "native": "compiled for this CPU",
    "torch": "the same layers of torch's operations",
    "none": "the network's modules and torch's autograd as they are",
}
#: Of maps and products while training on a CPU.
PRECISIONS = {
    "float32": "as the weights",
    "bfloat16": "less memory and, where the processor multiplies it, less time; native kernels",
    "auto": "bfloat16 where the processor multiplies it, else float32",
}
#: Of `KERNELS`, what is on record where the precision came to bfloat16.
BFLOAT16_KERNELS = "native-bfloat16"
#: What may be asked for; see `jobs.workers.kernels`.
KERNEL_CHOICES = {"auto": "the fastest there is", **KERNELS}
#: Of `design.rounding.ROUNDINGS`.
ROUNDINGS = ("tf", "nearest", "lite", "v2", "mobilenet-v2", "tinynet", "int")
#: Instead of a source of weights, where some would be taken otherwise.
NO_WEIGHTS = "none"
#: Where trainings may be done, of `jobs.workers.pool`.
ENGINES = {
    "local": "processes of this machine",
    "ray": "a Ray cluster (needs the extra ray)",
}
