"""What a shell may offer for an argument that is half typed."""

from collections.abc import Iterable

# What holds the names is imported where it is asked for: each press of the key starts a process.


def networks(incomplete: str) -> list[str]:
    """Published networks."""
    from autoscale.design.published import NETWORKS

    return _begun(NETWORKS, incomplete)


def networks_and_families(incomplete: str) -> list[str]:
    """Published networks and their families."""
    from autoscale.design.published import FAMILIES, NETWORKS

    return _begun([*FAMILIES, *NETWORKS], incomplete)


def spaces(incomplete: str) -> list[str]:
    """Search spaces that ship with autoscale."""
    from autoscale.jobs.search.spaces import space_names

    return _begun(space_names(), incomplete)


def samplers(incomplete: str) -> list[str]:
    """Samplers of a search."""
    from autoscale.jobs.search.spaces import sampler_names

    return _begun(sampler_names(), incomplete)


def recipes(incomplete: str) -> list[str]:
    """Training recipes."""
    from autoscale.jobs.search.spaces import recipe_names

    return _begun(recipe_names(), incomplete)


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
