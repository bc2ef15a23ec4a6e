"""Images as a network is shown them, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.metrics.predictions import said_by
from autoscale.training.evaluation.passes import Passes
from autoscale.training.evaluation.verification import verified_answers
from autoscale.training.task import HERE, Runtime, TrainingTask

EVALUATION_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationSet:
    """Images, how a network sees them, and what computes.

    A network that they are shown is moved to the device and switched to eval mode and back. What it
    answers raises:

        InvalidSetting: if `resolution` or `batch_size` is below 1, or the device is not there.
        DataProblem: if there are no images.
    """

    images: Images
    resolution: int  # pixels in height of what the network sees; the preparation gives the width
    preparation: Preparation = OURS  # its mean and deviation are what the network expects
    batch_size: int = EVALUATION_BATCH
    runtime: Runtime = HERE  # its peers share the images

    @classmethod
    def of(cls, task: TrainingTask, images: Images, *, runtime: Runtime = HERE) -> EvaluationSet:
        """Images as the network of a task sees them."""
        return cls(
            images=images,
            resolution=task.resolution,
            preparation=task.preparation,
            runtime=runtime,
        )

    def passes(self, network: nn.Module) -> Passes:
        """The network's passes over the images of this process."""
        return Passes(
            network,
            self.images,
            resolution=self.resolution,
            preparation=self.preparation,
            batch_size=self.batch_size,
            runtime=self.runtime,
        )

    def accuracy(self, network: nn.Module, *, verified: bool = False) -> float:
        """The fraction of the images, in [0, 1], that are answered right: see `answered_right`.

        All peers get the fraction of all images.
        """
        right = self.answered_right(network, verified=verified)
        return self.runtime.peers.total(int(right.sum())) / len(self.images)

    def answered_right(self, network: nn.Module, *, verified: bool = False) -> NDArray[np.bool_]:
        """Of each image whether its largest logit is that of its label.

        Where an image may have several classes: whether each has a probability of at least 0.5 if
        and only if the image has it.

        Args:
            verified: take a network's quicker way to compute, if it has one (see `Passes`), and
                verify its answers (see `verification`). Images that may have several classes, and
                devices other than a CPU, are left to the usual way.

        Returns:
            Truth values, one an image and in their order. Of peers each has those of its own
            batches and False elsewhere.
        """
        images = self.images
        right = np.zeros(len(images), dtype=bool)
        with self.passes(network) as passes:
            quick = passes.approximately if verified and not images.several else None
            if quick is not None and (batches := passes.batches):
                own = np.concatenate([np.arange(batch.start, batch.stop) for batch in batches])
                answers = verified_answers(own, quick, passes.logits).answers
                right[own] = answers == images.labels[own]
                return right
            for batch in passes.batches:
                logits, labels = passes.batch(batch), images.labels[batch]
                if images.several:
                    right[batch] = (said_by(logits.cpu().numpy()) == (labels > 0)).all(axis=1)
                else:
                    right[batch] = logits.argmax(dim=1).cpu().numpy() == labels
        return right

    def logits(self, network: nn.Module) -> NDArray[np.float32]:
        """The logits of each image: (images, classes). All peers have those of all images."""
        found: NDArray[np.float32] | None = None
        with self.passes(network) as passes:
            for batch in passes.batches:
                logits = passes.batch(batch)
                if found is None:
                    found = np.zeros((len(self.images), logits.shape[1]), dtype=np.float32)
                found[batch] = logits.float().cpu().numpy()
        peers = self.runtime.peers
        # The first process has the first batch; one without any learns from it how many classes
        # there are.
        own = found.shape[1] if found is not None and peers.rank == 0 else 0
        classes = round(peers.total(own))
        empty = np.zeros((len(self.images), classes), np.float32)
        return peers.together(empty if found is None else found)
