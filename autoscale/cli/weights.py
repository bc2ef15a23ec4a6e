"""Options of every command that takes weights: what these expect, if the file does not say."""

from typing import Annotated

import typer

Style = Annotated[
    str | None,
    typer.Option(
        help="What the weights expect of the network: tf (timm's tf_efficientnet..., TensorFlow's "
        "padding), timm (its others) or autoscale. \\[default: as the file says]"
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Of pixels in 0..1, as the weights expect it subtracted: 0.485,0.456,0.406, or one "
        "number. \\[default: as the file says, else as its names or timm's config.json beside it]"
    ),
]
Deviation = Annotated[
    str | None, typer.Option(help="Likewise, divided by: 0.229,0.224,0.225, or one number.")
]
Interpolation = Annotated[
    str | None,
    typer.Option(help="Of resizing pictures: bilinear or bicubic. \\[default: likewise]"),
]
WhiteLevel = Annotated[
    int | None,
    typer.Option(
        help="The number of a picture of 16 bits that is white: 1023 for 10 bits in them, 4095 for "
        "12, 16383 for 14. \\[default: that of the weights, else 65535]"
    ),
]
