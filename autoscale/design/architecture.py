"""The value at the centre: one complete design of a convolutional network.

An `Architecture` is a stem, a row of stages and a head. It is frozen, hashable and comparable,
and a wrong one cannot exist: the constructor refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from autoscale.aspect import SQUARE, Aspect, ImageSize, aspect_of, image_size, written
from autoscale.design.blocks import KINDS
from autoscale.design.blocks.kind import BlockKind
from autoscale.design.blocks.layers import Activation as Activation
from autoscale.design.blocks.layers import Layout, NormKind
from autoscale.design.blocks.layers import Skip as Skip
from autoscale.design.document import NO_UNKNOWN_KEYS, dump, parse
from autoscale.design.numbers import Number
from autoscale.errors import InvalidArchitecture, InvalidSetting

if TYPE_CHECKING:
    Block = str
else:
    Block = Literal[tuple(KINDS)]  # for messages that list them
_ACTIVATIONS, _BLOCKS, _SKIPS = get_args(Activation), tuple(KINDS), get_args(Skip)
_NORMS = get_args(NormKind)

#: The fields that each block listens to, next to width, depth and stride.
BLOCK_FIELDS: Mapping[str, frozenset[str]] = {name: kind.fields for name, kind in KINDS.items()}


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


#: A number that is an int where it is whole, whichever way a file writes it.
Ratio = Annotated[float, AfterValidator(_whole)]
#: An aspect as files write it.
WrittenAspect = Annotated[Aspect, PlainValidator(aspect_of), WithJsonSchema({"type": "string"})]

#: Channels that an image may have at most: one of grey, or red, green and blue, or others, which
#: are bands.
MOST_CHANNELS = 32
#: No size of a network is larger; beyond it counts would no longer fit 64 bits.
MOST = 1_000_000


# A search makes thousands of designs: a message is put together only where it is needed.


def _require_count(name: str, value: float, least: int = 1) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidArchitecture(
            f"{name} must be a whole number of at least {least}, got {value!r}"
        )
    if value > MOST:
        raise InvalidArchitecture(f"{name} must be at most {MOST:,}, got {value}")


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidArchitecture(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _require_kernel(kernel: int, name: str = "kernel") -> None:
    _require_count(name, kernel)
    if kernel % 2 == 0:
        raise InvalidArchitecture(f"{name} must be odd, got {kernel}")


def _require_stride(stride: int) -> None:
    _require_count("stride", stride)
    if stride > 2:
        raise InvalidArchitecture(f"stride must be 1 or 2, got {stride}")


def _require_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise InvalidArchitecture(f"{name} must be a {kind.__name__}, got {value!r}")


def require_channels(channels: int) -> None:
    """
    Raises:
        InvalidArchitecture: unless an image may have so many channels.
    """
    if type(channels) is not int or not 1 <= channels <= MOST_CHANNELS:
        raise InvalidArchitecture(
            "channels must be 3 (red, green, blue), 1 (grey), or of arrays as many as they have "
            f"bands, at most {MOST_CHANNELS}; got {channels!r}"
        )


def require_aspect(aspect: Aspect, resolution: int) -> None:
    """
    Raises:
        InvalidArchitecture: unless images of `resolution` may have that width divided by height.
    """
    if aspect is SQUARE:
        return
    if not isinstance(aspect, Aspect):
        raise InvalidArchitecture(f"aspect must be a Fraction, got {aspect!r}")
    try:
        aspect_of(aspect)
    except InvalidSetting as problem:
        raise InvalidArchitecture(str(problem)) from None
    if (width := image_size(resolution, aspect).width) > MOST:
        raise InvalidArchitecture(f"images must be at most {MOST:,} pixels wide, got {width}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """The first convolution, from the image to `width` channels; with `pool`, a 3x3 max pooling of
    stride 2 follows it (ResNet). A kernel as large as the stride sees patches (ConvNeXt)."""

    width: int
    kernel: int = 3  # pixels, odd or the stride
    stride: int = 2  # 1, 2 or the kernel
    activation: Activation | Literal["none"] = "silu"
    pool: bool = False
    norm: NormKind = field(default="batch", hash=False)

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        _require_count("stem width", self.width)
        _require_count("kernel", self.kernel)
        _require_count("stride", self.stride)
        if self.kernel != self.stride:
            _require_kernel(self.kernel)
            _require_stride(self.stride)
        _require_choice("activation", self.activation, (*_ACTIVATIONS, "none"))
        _require_kind("pool", self.pool, bool)
        _require_choice("norm", self.norm, _NORMS)

    def with_stride(self, stride: int, *, pool: bool) -> "Stem":
        """The stem with another stride; patches shrink with it, and become a 3x3 convolution."""
        kernel = self.kernel if self.kernel != self.stride or stride == self.stride else stride
        return replace(
            self, stride=stride, kernel=3 if kernel == 1 < self.kernel else kernel, pool=pool
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`depth` blocks of one kind that share everything but the first one's stride and input.

    `design.blocks` describes each kind. A field that a block does not listen to must keep its
    default.
    """

    block: Block = "mbconv"
    width: int  # output channels
    depth: int = 1  # blocks
    kernel: int = 3  # pixels, odd
    stride: int = 1  # of the first block; the others use 1
    expand_ratio: Ratio = 1  # hidden width / input width
    se_ratio: float = 0.0  # squeeze width / the block's *input* width; 0 is without
    # What is added to a block's output. "identity": its input, where size and width are unchanged;
    # "pool": its input after 3x3 average pooling with the block's stride, where the width is.
    skip: Skip = "identity"
    activation: Activation = "silu"
    # Of channels that the block's middle convolution keeps apart. (What few designs have is left
    # out of hashes, of which a search makes many.)
    groups: int = field(default=1, hash=False)
    # Pixels of a depthwise convolution before all others; 0 is without.
    start_kernel: int = field(default=0, hash=False)

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        _require_choice("block", self.block, _BLOCKS)
        _require_count("width", self.width)
        _require_count("depth", self.depth)
        if self.kernel != 0 or not self.kind.kernel_or_none:
            _require_kernel(self.kernel)
        if self.start_kernel != 0:
            _require_kernel(self.start_kernel, "start_kernel")
        _require_stride(self.stride)
        _require_count("groups", self.groups)
        self._require_ratio()
        ratio = self.se_ratio
        if not isinstance(ratio, int | float) or isinstance(ratio, bool) or not 0 <= ratio <= 1:
            raise InvalidArchitecture(f"se_ratio must lie in 0..1, got {ratio!r}")
        _require_choice("skip", self.skip, _SKIPS)
        _require_choice("activation", self.activation, _ACTIVATIONS)
        least = self.kind.least_width
        if self.width < least:
            raise InvalidArchitecture(
                f"a {self.block}'s width must be at least {least}, got {self.width}"
            )
        listens = self.kind.fields
        for name, default in _UNUSED_DEFAULTS:
            if name not in listens and getattr(self, name) != default:
                raise InvalidArchitecture(
                    f"{self.block} blocks have no {name}; leave it at {default!r}"
                )

    def _require_ratio(self) -> None:
        ratio = self.expand_ratio
        if self.kind.whole_ratio or not isinstance(ratio, float):
            _require_count("expand_ratio", ratio)
        elif not 1 <= ratio <= MOST:
            raise InvalidArchitecture(f"expand_ratio must lie in 1..{MOST:,}, got {ratio}")

    @property
    def kind(self) -> BlockKind:
        """What its blocks are."""
        return KINDS[self.block]

    def layout(self, width_in: Number, width: Number, stride: int) -> Layout:
        """The layers of a block that makes `width` channels of `width_in`."""
        return self.kind.layout(self, width_in, width, stride)


_UNUSED_DEFAULTS = (
    ("kernel", 3),
    ("expand_ratio", 1),
    ("se_ratio", 0.0),
    ("skip", "identity"),
    ("activation", "silu"),
    ("groups", 1),
    ("start_kernel", 0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A 1x1 convolution to `width` channels (none if 0), global average pooling, a classifier.

    Between the last two may stand a fully connected layer with an activation, to `hidden` numbers
    that scaling leaves alone (MobileNetV3), and a `norm`: of that layer (MobileNetV4), else of the
    features (ConvNeXt).
    """

    width: int = 0
    activation: Activation = "silu"
    hidden: int = field(default=0, hash=False)  # 0 is without
    norm: NormKind | Literal["none"] = field(default="none", hash=False)

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        _require_count("head width", self.width, least=0)
        _require_choice("activation", self.activation, _ACTIVATIONS)
        _require_count("hidden", self.hidden, least=0)
        _require_choice("norm", self.norm, ("none", *_NORMS))
        if self.norm == "batch" and not self.hidden:
            raise InvalidArchitecture(
                "a head's batch norm is that of its hidden layer; give that a width, or leave norm "
                "at 'none'"
            )


class Sizes(NamedTuple):
    """The numbers of an architecture that scaling changes: ints, or integer arrays that broadcast
    together and so stand for many architectures."""

    resolution: Number
    stem: Number  # width
    widths: tuple[Number, ...]  # of each stage
    depths: tuple[Number, ...]  # of each stage
    head: Number  # width


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A classifier of images in colour, grey or bands, square unless it has an aspect.

    Raises:
        InvalidArchitecture: for a design that no network can have.
    """

    resolution: int  # height of the input, pixels
    channels: int = field(default=3, hash=False)  # of the input: 3 in RGB, 1 in grey, or bands
    aspect: WrittenAspect = field(default=SQUARE, hash=False)  # of the input: width / height
    stem: Stem
    stages: tuple[Stage, ...]
    head: Head = Head()
    num_classes: int

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        _require_count("resolution", self.resolution)
        require_channels(self.channels)
        require_aspect(self.aspect, self.resolution)
        _require_count("num_classes", self.num_classes)
        _require_kind("stem", self.stem, Stem)
        _require_kind("head", self.head, Head)
        _require_kind("stages", self.stages, tuple)
        for stage in self.stages:
            _require_kind("each of stages", stage, Stage)
        if not self.stages:
            raise InvalidArchitecture("an architecture needs at least one stage")

    @property
    def image_size(self) -> ImageSize:
        """Height and width of the input, pixels."""
        return image_size(self.resolution, self.aspect)

    @property
    def depth(self) -> int:
        """Blocks in all stages."""
        return sum(stage.depth for stage in self.stages)

    @property
    def features(self) -> int:
        """Numbers that reach the classifier."""
        return self.head.hidden or self.head.width or self.stages[-1].width

    @property
    def reduction(self) -> int:
        """Total stride: input pixels per side of one pixel of the last map."""
        product = self.stem.stride * (2 if self.stem.pool else 1)
        for stage in self.stages:
            product *= stage.stride
        return product

    @property
    def sizes(self) -> Sizes:
        """What scaling changes."""
        return Sizes(
            self.resolution,
            self.stem.width,
            tuple([stage.width for stage in self.stages]),
            tuple([stage.depth for stage in self.stages]),
            self.head.width,
        )

    def resized(self, sizes: Sizes) -> "Architecture":
        """The same design with other (single) sizes.

        Raises:
            InvalidArchitecture: if a size is no whole number of at least 1.
        """
        stages = zip(self.stages, sizes.widths, sizes.depths, strict=True)
        return replace(
            self,
            resolution=sizes.resolution,
            stem=replace(self.stem, width=sizes.stem),
            stages=tuple(replace(stage, width=w, depth=d) for stage, w, d in stages),
            head=replace(self.head, width=sizes.head),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data: numbers, strings, lists and dictionaries; `from_dict` reads it back."""
        # Written where they are there, so that most files stay as they were.
        grey = {} if self.channels == 3 else {"channels": self.channels}
        wide = {} if self.aspect == SQUARE else {"aspect": written(self.aspect)}
        return {
            "resolution": self.resolution,
            **grey,
            **wide,
            "stem": _plain(self.stem),
            "stages": [_plain(stage) for stage in self.stages],
            "head": _plain(self.head),
            "num_classes": self.num_classes,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Architecture":
        """Read what `to_dict` wrote.

        Raises:
            InvalidArchitecture: naming the key at fault.
        """
        if not isinstance(data, Mapping):
            raise InvalidArchitecture(f"architecture: expected keys and values, got {data!r:.40}")
        try:
            text = dump(data)
        except (TypeError, ValueError, RecursionError) as problem:
            raise InvalidArchitecture(f"architecture: no plain data: {problem}") from None
        return cls.from_yaml(text, source="architecture")

    def to_yaml(self) -> str:
        """The design as YAML text; `from_yaml` gives an equal one."""
        return dump({"kind": "design", **self.to_dict()})

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "architecture") -> "Architecture":
        """Read a design from YAML text; `source` names it in errors.

        Raises:
            InvalidArchitecture: naming the line and the key at fault.
        """
        return parse(text, cls, source=source, error=InvalidArchitecture, kind="design")


def _plain(part: Stem | Stage | Head) -> dict[str, Any]:
    if isinstance(part, Stage):
        unused = frozenset(name for name, _ in _UNUSED_DEFAULTS) - BLOCK_FIELDS[part.block]
    else:  # what few have is written where it is there, so that most files stay as they were
        unused = frozenset(
            f.name
            for f in fields(part)
            if f.name in ("norm", "hidden") and getattr(part, f.name) == f.default
        )
    return {f.name: getattr(part, f.name) for f in fields(part) if f.name not in unused}
