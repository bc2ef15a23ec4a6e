"""How networks are trained: a named recipe, a file of one's own, and fields over it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from autoscale.errors import InvalidSetting
from autoscale.settings.command import Groups, Settings
from autoscale.settings.option import begun, in_words, option
from autoscale.training.recipe import INHERITING_RATE, RECIPES, Recipe

#: What some settings are about: what the classifier alone is fitted without.
EPOCHS = "epochs"
#: What a file of one's own ends in.
_ENDINGS = (".yaml", ".yml")
_KINDS: Mapping[str, Any] = get_type_hints(Recipe)
_LARGEST = 10**9  # of whole numbers
#: Fields that mean something beside one value of another alone.
_ONLY_WITH: Mapping[str, tuple[str, str]] = {
    "shift": ("crop", "shift"),
    "crop_scale_min": ("crop", "random-resized"),
    "step_length": ("schedule", "steps"),
    "step_factor": ("schedule", "steps"),
}


def recipe_named(name: str, *, epochs: int | None = None) -> Recipe:
    """The recipe of that name, with another number of epochs if given.

    Raises:
        InvalidSetting: if there is none, or for fewer than one epoch.
    """
    if name not in RECIPES:
        raise InvalidSetting(
            f"no recipe {name!r}; choose from {', '.join(RECIPES)}, or name a file of your own, "
            "which ends in .yaml"
        )
    return RECIPES[name] if epochs is None else replace(RECIPES[name], epochs=epochs)


def either_way(*names: str) -> Groups:
    """Groups of settings that exclude each other: each name and the same field of --set."""
    return tuple((name, f"set={name}") for name in names)


@dataclass(frozen=True, kw_only=True)
class OwnRecipe(Settings):
    """Settings that come to a recipe: of a name, with fields in place of its own.

    A class of these has `recipe`, a name or a file, and `set`, fields as NAME=VALUE; its further
    settings with names of a recipe's fields stand for these. A file is read once, where the value
    is made: its recipe's name is in `recipe` then and its fields are in `set`, but for those that
    are given otherwise too. So what is recorded holds without the file.

    Raises:
        InvalidSetting: for a recipe or a field that there is not, a value that a field cannot have,
            or a field that is given twice.
        StorageProblem: if the file cannot be read.
    """

    #: Setting that names what its fields stand over: `set` goes where a stronger `recipe` comes.
    founded_on: ClassVar[Mapping[str, str]] = {"set": "recipe"}
    #: The recipe where none is named.
    usual_recipe: ClassVar[str] = "proxy"
    #: Whether the networks may have dropout or stochastic depth.
    may_drop: ClassVar[bool] = False

    def __post_init__(self) -> None:
        own: Any = self
        super().__post_init__()
        said = _read(own.set)
        if own.recipe is not None and own.recipe not in RECIPES and _is_file(own.recipe):
            base, held = _read_file(Path(own.recipe))
            object.__setattr__(self, "recipe", base)
            said = {n: v for n, v in held.items() if getattr(self, n, None) is None} | said
        texts = tuple(_as_text(name, value) for name, value in said.items())
        object.__setattr__(self, "set", texts)
        self._require_effect(self.recipe_asked)  # which refuses what no recipe can have

    def _require_effect(self, recipe: Recipe) -> None:
        """
        Raises:
            InvalidSetting: for a field that is given and means nothing in this recipe.
        """
        given = self.fields_given
        for name in given:
            other, needed = _ONLY_WITH.get(name, ("", None))
            if other and (has := getattr(recipe, other)) != needed:
                raise InvalidSetting(
                    f"{name} means something with {other}={needed} alone, and the recipe's {other} "
                    f"is {has}; give --set {other}={needed} too, or leave {name} out"
                )
        if "start_regularisation" in given and not (self.may_drop or recipe.altering):
            raise InvalidSetting(
                "start_regularisation lets augmentation grow, and the recipe has none; give some, "
                "such as --set mixup=0.2, or leave it out"
            )
        balance = getattr(self, "balance", None)
        if balance is not None and balance.hard and given.get("label_smoothing"):
            raise InvalidSetting(
                f"label_smoothing {given['label_smoothing']:g} and --loss {balance.loss} exclude "
                "each other: that loss is of labels alone; leave one of them out"
            )

    @property
    def inheriting_rate(self) -> float | None:
        """Peak rate of networks that begin with weights; None for the recipe's, if one is given."""
        return None if "learning_rate" in self.fields_given else INHERITING_RATE

    @property
    def fields_given(self) -> dict[str, Any]:
        """The fields of the recipe that are not as its name has them, as they were given."""
        typed = {one.name: getattr(self, one.name, None) for one in fields(Recipe)}
        own: Any = self
        return {n: v for n, v in typed.items() if v is not None} | _read(own.set)

    @property
    def recipe_asked(self) -> Recipe:
        """The recipe. Its learning rate follows a batch size that is given without a rate."""
        given, own = self.fields_given, getattr(self, "recipe", None)
        recipe = recipe_named(own or self.usual_recipe)
        if (batch := given.pop("batch_size", None)) is not None:
            recipe = recipe.with_batch(batch)
        return replace(recipe, **given)

    @property
    def recipe_told(self) -> str:
        """Its name, and what `set` has in place of its own, as a person may read it."""
        own: Any = self
        return " with ".join([own.recipe or self.usual_recipe, *filter(None, [", ".join(own.set)])])


@dataclass(frozen=True, kw_only=True)
class RecipeSettings(OwnRecipe):
    """How each network is trained. The recipe itself binds a resumed run, not its name."""

    exclusive: ClassVar[Groups] = either_way("epochs")

    recipe: str = option(
        "proxy",
        f"Training recipe: {in_words(RECIPES.keys())}; or a YAML file with a recipe of your own.",
        complete=begun(lambda: RECIPES),
        binds="recipe",
    )
    set: tuple[str, ...] = option(
        (),
        "A field of the recipe, as NAME=VALUE: mixup=0.2, augment=rand:2:9, clip_norm=1; as often "
        "as you like.",
        complete=begun(lambda: [f"{name}=" for name in _KINDS]),
        keyed=True,
        binds="recipe",
        about=EPOCHS,
    )
    epochs: int | None = option(None, "Epochs of each training.", binds="recipe", about=EPOCHS)


def _is_file(text: str) -> bool:
    return text.lower().endswith(_ENDINGS)


def _read(texts: Iterable[str]) -> dict[str, Any]:
    """Fields and their values.

    Raises:
        InvalidSetting: for one that there is not, that is given twice, or a value of another type.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign:
            raise InvalidSetting(f"--set takes NAME=VALUE, such as mixup=0.2; got {text!r:.40}")
        if name in found:
            raise InvalidSetting(f"--set {name} is given twice; give one of them")
        found[name] = _value(name, value.strip(), place="--set")
    return found


def _read_file(file: Path) -> tuple[str, dict[str, Any]]:
    """The name of the recipe that a file begins with, and the fields that it has over it.

    Raises:
        InvalidSetting: if there is no such file; or `file:line:column: what is wrong`.
        StorageProblem: if it cannot be read.
    """
    from autoscale.design.document import entries
    from autoscale.runs.store import read_text

    found = entries(
        read_text(file, wanted="a recipe's YAML file"), source=str(file), error=InvalidSetting
    )
    base = found.pop("base", None)
    if base is None or base.text not in RECIPES:
        place, got = (file, "none") if base is None else (base.place, repr(base.data))
        raise InvalidSetting(
            f"{place}: base must name the recipe that is changed, one of {', '.join(RECIPES)}; "
            f"got {got}"
        )
    held = {}
    for name, entry in found.items():
        if entry.text is None:
            raise InvalidSetting(f"{entry.place}: {name} must be one value, got {entry.data!r:.40}")
        held[name] = _value(name, entry.text, place=entry.place)
    try:
        replace(RECIPES[str(base.text)], **held)
    except InvalidSetting as problem:
        raise InvalidSetting(f"{file}: {problem}") from None
    return str(base.text), held


def _value(name: str, text: str, *, place: str) -> Any:
    """A field's value from a text as people write it.

    Raises:
        InvalidSetting: if there is no such field, or the text is no value of its type.
    """
    kind = _KINDS.get(name)
    if kind is None:
        close = difflib.get_close_matches(name.replace("-", "_"), _KINDS, n=1)
        guess = f"did you mean {close[0]}?" if close else f"there are {', '.join(_KINDS)}"
        raise InvalidSetting(f"{place}: a recipe has no field {name!r}; {guess}")
    wanted = "a number"
    try:
        if kind is int:
            wanted = f"a whole number up to {_LARGEST:,}"
            return _whole(text)
        if kind is float:
            return float(text)
    except ValueError:
        raise InvalidSetting(f"{place}: {name} must be {wanted}, got {text!r:.40}") from None
    if kind is bool and text.lower() not in ("true", "false"):
        raise InvalidSetting(f"{place}: {name} must be true or false, got {text!r:.40}")
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise InvalidSetting(
            f"{place}: {name} must be one of {', '.join(get_args(kind))}; got {text!r:.40}"
        )
    return text.lower() == "true" if kind is bool else text


def _whole(text: str) -> int:
    """
    Raises:
        ValueError: if it is none, or none that machines count with.
    """
    number = int(text)
    if abs(number) > _LARGEST:
        raise ValueError
    return number


def _as_text(name: str, value: Any) -> str:
    """As `_read` takes it, and the same for equal values."""
    if isinstance(value, bool):
        return f"{name}={str(value).lower()}"
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return f"{name}={text}"
