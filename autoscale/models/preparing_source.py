"""Source by which an exported module prepares pictures: the decoder's own, as far as it goes."""

import re
import textwrap

from autoscale import aspect
from autoscale.answering.answering import NONE, Answering
from autoscale.aspect import SQUARE
from autoscale.datasets.pictures import bands, decoding, depth, framing
from autoscale.datasets.pictures.preparation import MOST_BANDS, Preparation, in_bands
from autoscale.network.excerpt import definitions, imports

#: What `decode_one` uses, but not from the decoder's modules.
_GIVEN = """
def opened(content):
    return Image.open(io.BytesIO(content))

class _memory:  # no other pictures are decoded meanwhile
    @staticmethod
    def taken(needed, picture):
        return nullcontext()
"""

#: The same of `decode_bands`.
_GIVEN_OF_BANDS = f"""
MOST_BANDS = {MOST_BANDS}

def install(extra):
    return "install tifffile"
"""

_AFTER = '''
def prepare(picture):
    """A picture as the network wants it: (1, len(MEAN), {shape}), float32.

    Args:
        picture: a path, or a file that is open for reading bytes. Pillow and numpy are needed;
            TIFF of bands needs tifffile too.
    """
    content = picture.read() if hasattr(picture, "read") else Path(picture).read_bytes()
    pixels = _decoder()(content, RESOLUTION, SimpleNamespace(**DECODING)).pixels
    numbers = torch.tensor(pixels).permute(2, 0, 1)[None].float()
    mean = torch.tensor([255 * value for value in MEAN]).view(-1, 1, 1)
    deviation = torch.tensor([255 * value for value in DEVIATION]).view(-1, 1, 1)
    return (numbers - mean) / deviation


def classify(picture, network=None):
    """Every class with its probability, the most probable first.

    Args:
        picture: as for `prepare`.
        network: what `load` gave; without, it is loaded for this picture.
    """
    network = load() if network is None else network
    with torch.inference_mode():
        chances = network(prepare(picture))[0].double().softmax(dim=0).tolist()
    names = CLASSES or [f"class {number}" for number in range(len(chances))]
    return sorted(zip(names, chances), key=lambda pair: -pair[1])
'''
_SEVERAL = '''def classify(picture, network=None):
    """The labels of a picture with their probabilities, the most probable first; perhaps none.

    They are those whose probability is at least their threshold of `THRESHOLDS`.

    Args:
        picture: as for `prepare`.
        network: what `load` gave; without, it is loaded for this picture.
    """
    network = load() if network is None else network
    with torch.inference_mode():
        chances = network(prepare(picture))[0].double().sigmoid().tolist()
    found = zip(CLASSES, chances, THRESHOLDS)
    told = [(name, chance) for name, chance, threshold in found if chance >= threshold]
    return sorted(told, key=lambda pair: -pair[1])
'''
_SOFTMAX = ".double().softmax(dim=0)"
_SORTED = "    return sorted(zip(names, chances), key=lambda pair: -pair[1])\n"
_OR_NONE = f"""\
    found = sorted(zip(names, chances), key=lambda pair: -pair[1])
    return found if found[0][1] >= NONE_BELOW else [({NONE!r}, None), *found]
"""
_TOLD = "Every class with its probability, the most probable first."


def _after(answering: Answering | None) -> str:
    """Source of `prepare` and `classify`, with what these need to answer in that way."""
    if answering is None:
        return _AFTER
    if answering.several:
        least = "[0.5] * len(CLASSES)" if answering.thresholds is None else answering.thresholds
        head = _AFTER[: _AFTER.index("def classify")]
        return f"\nTHRESHOLDS = {least}  # of the probabilities of CLASSES\n{head}{_SEVERAL}"
    facts = f"TEMPERATURE = {answering.temperature!r}  # by which logits are divided\n"
    source = _AFTER.replace(_SOFTMAX, ".double().div(TEMPERATURE).softmax(dim=0)")
    if answering.none_below is not None:
        facts += f"NONE_BELOW = {answering.none_below!r}  # the least probability of an answer\n"
        source = source.replace(_SORTED, _OR_NONE).replace(
            _TOLD,
            f"{_TOLD}\n\n    If no class is probable enough, ({NONE!r}, None) stands before them.",
        )
    return f"\n{facts}\n{source}"


def preparing_source(preparation: Preparation, answering: Answering | None = None) -> str:
    """Source of `prepare` and `classify`, to be put after `load` in a module of `python_source`.

    The decoder's definitions and imports stand inside a function, so that the module is imported
    without Pillow.
    """
    if in_bands(preparation.channels):
        decode, modules = "decode_bands", [aspect, framing, bands]
        provided, given = _GIVEN_OF_BANDS, ("MOST_BANDS", "install")
    else:
        decode, modules = "decode_one", [aspect, depth, framing, decoding]
        provided, given = _GIVEN, ("opened", "_memory")
    pieces = definitions(modules, decode, given=given)
    needed = imports(modules, pieces + provided)
    needed = [line for line in needed if not line.startswith("from numpy.typing")]  # annotations
    needed = sorted({*needed, "import io", "from contextlib import nullcontext"}, key=_place)
    body = "\n".join([*needed, provided, *pieces.splitlines(), "", f"return {decode}"])
    inside = textwrap.indent(re.sub(r"\n{3,}", "\n\n", body), "    ")
    after = _after(answering).replace(
        "{shape}", "RESOLUTION, RESOLUTION" if preparation.aspect == SQUARE else "RESOLUTION, WIDTH"
    )
    fraction = "" if preparation.aspect == SQUARE else "from fractions import Fraction\n\n"
    return f'''
{fraction}DECODING = {_decoding(preparation)!r}


@cache
def _decoder():
    """What makes an image of a picture, as autoscale does it."""
{inside}

{after}'''


def _decoding(preparation: Preparation) -> dict[str, object]:
    """What of a preparation is done to the picture and not to its numbers."""
    known = preparation.to_dict() | {"channels": preparation.channels}
    known |= {"aspect": 1 if preparation.aspect == SQUARE else preparation.aspect}
    return {name: value for name, value in known.items() if name not in ("mean", "deviation")}


def _place(statement: str) -> tuple[bool, bool, str]:
    """Statements of the standard library first, whole modules before names."""
    module = statement.split()[1].partition(".")[0]
    return module in ("PIL", "numpy"), statement.startswith("from"), statement
