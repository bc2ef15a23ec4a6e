"""What weights expect of the network that uses them, beyond its architecture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from autoscale.errors import InvalidSetting

Padding = Literal["symmetric", "same"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Padding of convolutions with a stride, and epsilon of batch norm.

    "same" is TensorFlow's padding: with stride 2, one row and column less above and left than below
    and right.

    Raises:
        InvalidSetting: if there is no such padding, or the epsilon is not above 0.
    """

    padding: Padding = "symmetric"
    norm_eps: float = 1e-3

    def __post_init__(self) -> None:
        if self.padding not in get_args(Padding):
            known = ", ".join(get_args(Padding))
            raise InvalidSetting(f"padding must be one of {known}: {self.padding!r}")
        if not 0 < self.norm_eps < 1:
            raise InvalidSetting(f"norm_eps must lie between 0 and 1, got {self.norm_eps}")

    @property
    def options(self) -> dict[str, Any]:
        """Arguments for `network.build.build`."""
        return {"padding": self.padding, "norm_eps": self.norm_eps}


#: By name; "tf" are weights that were converted from TensorFlow, timm's names begin so too.
STYLES: Mapping[str, Style] = {
    "autoscale": Style(),
    "timm": Style(padding="symmetric", norm_eps=1e-5),
    "tf": Style(padding="same", norm_eps=1e-3),
}
