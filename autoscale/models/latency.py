"""How long networks take on this device, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from autoscale.design.architecture import Architecture
from autoscale.devices.timing.latency import Latency, measure_latencies
from autoscale.errors import InvalidSetting
from autoscale.models.count import load_network
from autoscale.models.settings import LatencySettings
from autoscale.settings.function import takes_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The latencies of networks that took turns under the same conditions, by name."""

    latencies: Mapping[str, Latency]

    @property
    def table(self) -> pd.DataFrame:
        """One row for each network, in the order asked for.

        Columns: network, the fields of `Latency`, images_per_second, and ratio, `steady_ms` /
        that of the first network.
        """
        first = next(iter(self.latencies.values()))
        return pd.DataFrame(
            [
                {
                    "network": name,
                    **asdict(found),
                    "images_per_second": found.images_per_second,
                    "ratio": found.steady_ms / first.steady_ms,
                }
                for name, found in self.latencies.items()
            ]
        )


@takes_settings(LatencySettings)
def time_networks(
    networks: Sequence[str | Path] | Mapping[str, str | Path | nn.Module | Architecture],
    settings: LatencySettings,
) -> Timings:
    """Measure networks in turns.

    Args:
        networks: each a published network, a YAML file, or `package.module:name`, as `count` takes;
            or such names and modules or designs by what they shall be called.

    Returns:
        The latencies by name; `table` has them side by side, in milliseconds.

    Raises:
        InvalidSetting: if nothing is named, or something that is no network or cannot be measured.
        InvalidArchitecture: if a file is no design.
        StorageProblem: if a file cannot be read.
    """
    named = (
        networks
        if isinstance(networks, Mapping)
        else {str(network): network for network in networks}
    )
    if not named:
        raise InvalidSetting("name at least one network, such as efficientnet-b0")
    loaded = [load_network(network) for network in named.values()]
    found = measure_latencies(
        loaded, settings, resolution=settings.resolution, aspect=settings.aspect
    )
    return Timings(latencies=dict(zip(named, found, strict=True)))
