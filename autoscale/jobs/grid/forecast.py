"""What can be known of a grid's trainings before there are any: their time and memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from autoscale.design.style import Padding
from autoscale.jobs.grid.candidates import GridRace, root_of
from autoscale.jobs.grid.judging import class_count, notes_on_start, proxy_of, with_grid_images
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.reference.network import find_references
from autoscale.jobs.workers.estimate import estimate_seconds
from autoscale.jobs.workers.memory import training_bytes
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.transfer import NOTHING, Transfer
from autoscale.listener import Listener
from autoscale.scaling.scalable import Scalable


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """How a grid's networks would be trained and judged."""

    run: Path
    settings: GridSettings
    proxy: Proxy | None  # None where a named base has no images
    transfer: Transfer = NOTHING  # for networks around a base

    @classmethod
    def of(cls, run: Path, settings: GridSettings) -> Forecast:
        """As the run's search judged, or as settings say of a named base.

        Raises:
            InvalidSetting: if the run's search has decided what is set here.
        """
        return cls(run=run, settings=settings, proxy=proxy_of(run, settings))

    @property
    def classes(self) -> int | None:
        """Classes of the images of a named base; None where no images are named."""
        return class_count(self.settings, self.proxy)

    @property
    def dtype(self) -> str:
        """Of the networks that are scored."""
        return (self.settings.dtype or "float32") if self.proxy is None else self.proxy.dtype

    @property
    def padding(self) -> Padding:
        """Of the networks' convolutions with a stride."""
        return self.transfer.start.expected.style.padding

    def around(self, base: Scalable, listener: Listener) -> Forecast:
        """The same for networks that are scaled from a base; what to know of its start is told.

        Raises:
            InvalidSetting: if a file holds no weights, or they cannot take them over.
        """
        proxy = self.proxy
        transfer = Transfer.for_many(self.settings) if proxy is None else proxy.transfer
        transfer = transfer.for_design(root_of(base))
        for note in notes_on_start(transfer.start, base):
            listener.notice(note)
        return replace(self, proxy=proxy and replace(proxy, transfer=transfer), transfer=transfer)

    def references(self, race: GridRace, listener: Listener) -> int:
        """How many published networks are trained beside the candidates; each is told.

        Raises:
            AutoscaleError: as `find_references`.
        """
        found = find_references(
            self.settings,
            resolution=race.largest,
            aspect=root_of(race.base).aspect,
            classes=race.num_classes,
            listener=listener,
            dtype=self.dtype,
        )
        for reference in found:
            listener.notice(f"beside them: {reference.label}, fine-tuned")
        return len(found)

    def of_trainings(
        self, race: GridRace, listener: Listener
    ) -> tuple[float | None, float, int | None]:
        """Seconds of a candidate's training, seconds before the first, and bytes of the largest.

        The first and the last are None without images.

        Raises:
            AutoscaleError: one of its kinds, if images cannot be read, or are not the search's.
        """
        if self.proxy is None:
            return None, 0.0, None
        networks = [candidate.network for candidate in race.field]
        proxy = with_grid_images(
            self.run, self.settings, self.proxy, size=race.largest, listener=listener
        )
        each = estimate_seconds(proxy, networks) / len(networks) / self.settings.workers
        batch, kernels = proxy.recipe.batch_size, proxy.kernels
        memory = max(
            training_bytes(network, batch, kernels=kernels, padding=self.padding)
            for network in networks
        )
        return each, proxy.teacher_seconds, memory
