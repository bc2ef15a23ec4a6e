"""Which split a folder or a file is, by its name.

Names are read in any case and in parts: `train2017`, `01_Train`, `TrainSet`, `images_val` and
`Training Set` are of one kind. `dev` is another word for validation, `holdout` for test. `eval` is
validation where nothing else is, else test. The words of some other languages are known too.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Literal


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


Split = Literal["train", "validation", "test"]
Role = Literal["train", "validation", "test", "evaluation"]


def _without_accents(text: str) -> str:
    marked = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(c for c in marked if not unicodedata.combining(c)))


_WORDS: dict[Role, str] = {
    "train": "train training trains trn trainval trainvalid traindev trainings entrainement "
    "apprentissage entrenamiento addestramento treino treinamento trening обучение обучающая "
    "тренировка 训练 訓練 学習 훈련 학습",
    "validation": "validation validate validating valid vali val vld dev devel development "
    "validierung validierungs validacion validacao validazione validatie walidacja валидация 验证 "
    "驗證 検証 검증",
    "test": "test tests testing tst holdout heldout prüfung pruefung prueba pruebas teste testes "
    "prova тест тестовая тестирование 测试 測試 テスト 테스트",
    "evaluation": "eval evals evaluation evaluate evaluating",
}
_ROLES: dict[str, Role] = {
    word: role for role, words in _WORDS.items() for word in _without_accents(words).split()
}
#: What names of splits have beside them, and of which they say nothing.
_FILLERS = words(
    _without_accents(
        "set sets data dataset datasets image images img imgs picture pictures photo photos pic "
        "pics jpg jpeg jpegs png split splits folder folders dir sample samples file files all "
        "class classes by the of partition subset x daten bilder satz fotos données datos imágenes "
        "conjunto jeu dados imagens dati immagini de данные изображения выборка набор 集 数据 "
        "数据集 图片 图像 データ データセット 画像 데이터 세트 이미지"
    )
)
_PART = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^A-Za-z]+")
_ELISION = re.compile(r"(?<![^\W_])[dDlL]['\u2019]")  # images d'entraînement
_SHARD = re.compile(r"[-_.]?\d+[-_]of[-_]\d+.*$")  # train-00000-of-00002-b42a775f407cee45


def spoken(split: str) -> str:
    """What a sentence calls a split."""
    return "training" if split == "train" else split


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
    plain = _ELISION.sub("", _without_accents(_SHARD.sub("", name)))
    found = [word for part in _PART.findall(plain) for word in _words(part)]
    return re.sub(r"\b(hold|held) out\b", r"\1out", " ".join(found)).split()


def _words(part: str) -> list[str]:
    """Words of a run of letters: "TrainSet" and "trainset" are "train" and "set"."""
    whole = part.lower()
    if whole in _ROLES or whole in _FILLERS:
        return [whole]
    if whole in (known := _compounds()):
        return list(known[whole])
    return [word.lower() for word in _CAMEL.findall(part)]


@cache
def _compounds() -> dict[str, tuple[str, str]]:
    """Two words written as one: "trainset" is "train" and "set"."""
    return {
        compound: (word, other)
        for word in _ROLES
        for other in _FILLERS
        if len(other) > 2 or not other.isascii()
        for compound in (word + other, other + word)
        if compound not in _ROLES and compound not in _FILLERS
    }
