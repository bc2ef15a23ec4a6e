"""How far an accuracy may be off, of the number of images alone."""

from math import sqrt

_Z = 1.959964  # of the normal distribution, for 95 %


def wilson(right: int, images: int) -> tuple[float, float]:
    """Interval at 95 % of the share that `right` of `images` estimate.

    Source: Wilson 1927. It says how much other images of the same kind would change the share,
    nothing of other trainings.
    """
    share, weight = right / images, _Z**2 / images
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * sqrt(share * (1 - share) / images + weight / (4 * images))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
