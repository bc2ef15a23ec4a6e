"""Which split a folder or a file is, by its name.

Names are read in any case and in parts: `train2017`, `01_Train`, `TrainSet`, `images_val` and
`Training Set` are of one kind. `dev` is another word for validation, `holdout` for test. `eval` is
validation where nothing else is, else test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


Split = Literal["train", "validation", "test"]
Role = Literal["train", "validation", "test", "evaluation"]

_WORDS: dict[Role, str] = {
    "train": "train training trains trn trainval trainvalid traindev",
    "validation": "validation validate validating valid vali val vld dev devel development",
    "test": "test tests testing tst holdout heldout",
    "evaluation": "eval evals evaluation evaluate evaluating",
}
_ROLES: dict[str, Role] = {word: role for role, words in _WORDS.items() for word in words.split()}
#: What names of splits have beside them, and of which they say nothing.
_FILLERS = words(
    "set sets data dataset datasets image images img imgs picture pictures photo photos pic pics "
    "jpg jpeg jpegs png split splits folder folders dir sample samples file files all class "
    "classes by the of partition subset x"
)
_PART = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^A-Za-z]+")
_SHARD = re.compile(r"[-_.]?\d+[-_]of[-_]\d+.*$")  # train-00000-of-00002-b42a775f407cee45


@dataclass(frozen=True, slots=True)
class Name:
    """A name taken apart."""

    role: Role | None  # None: no split's, or several'
    rest: tuple[str, ...]  # parts that tell one data set from another, such as ("flowers",)
    word: str = ""  # that tells the split, such as "dev"

    @property
    def plain(self) -> bool:
        """Whether it is a split's name and nothing more."""
        return self.role is not None and not self.rest


def read_name(name: str) -> Name:
    """Take a name apart."""
    parts = _parts(name)
    roles = {_ROLES[word] for word in parts if word in _ROLES}
    rest = tuple(word for word in parts if word not in _ROLES and word not in _FILLERS)
    if roles == {"train", "validation"}:  # "train_val": what both are to be cut from
        return Name("train", rest, "trainval")
    word = next((word for word in parts if word in _ROLES), "")
    return Name(roles.pop() if len(roles) == 1 else None, rest, word)


def is_filler(name: str) -> bool:
    """Whether a name says nothing, such as "images"."""
    parts = _parts(name)
    return bool(parts) and not set(parts) - _FILLERS


def _parts(name: str) -> list[str]:
    found = [word for part in _PART.findall(_SHARD.sub("", name)) for word in _words(part)]
    return re.sub(r"\b(hold|held) out\b", r"\1out", " ".join(found)).split()


def _words(part: str) -> list[str]:
    """Words of a run of letters: "TrainSet" and "trainset" are "train" and "set"."""
    whole = part.lower()
    if whole in _ROLES or whole in _FILLERS:
        return [whole]
    for word in _ROLES:
        for other in _FILLERS:
            if whole in (word + other, other + word):
                return [word, other]
    return [word.lower() for word in _CAMEL.findall(part)]
