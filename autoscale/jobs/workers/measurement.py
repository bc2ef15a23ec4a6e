"""What is measured of a network that is trained to be compared, and when."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from autoscale.datasets.data import ImageData, Images


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Accuracy on images that do not train, in the end and perhaps on the way there."""

    held_out: bool = False  # on the test images instead of the validation images
    answers: bool = False  # of each image too whether it was answered right; not counted as time
    rungs: Collection[int] = ()  # epochs after which accuracy is measured as well
    # Told each rung's epochs and accuracy, or the metric's share; if it returns True, the training
    # ends there and the score is that of the rung. The learning rate is that of the whole training,
    # so one that is not ended equals one without rungs.
    look: Callable[[int, float], bool] | None = None

    def images(self, data: ImageData) -> Images:
        """Those on which it is measured."""
        images = data.test if self.held_out else data.validation
        assert images is not None
        return images


#: On the validation images, when the training is done.
IN_THE_END = Measurement()
