"""The end of a run from images to a network: judged once, written for others, drawn as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autoscale.distribution import install, missing
from autoscale.jobs.clock import Clock
from autoscale.models.quantized.files import FILES
from autoscale.pipeline.interval import wilson
from autoscale.pipeline.result import MadeInt8
from autoscale.pipeline.source import Beginning
from autoscale.pipeline.steps import Steps
from autoscale.report.writing import write_report
from autoscale.runs.weights import file_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How a network answered images that chose nothing."""

    split: str
    images: int
    right: int
    most: int  # images of the most frequent class

    @property
    def accuracy(self) -> float:
        return self.right / self.images

    @property
    def always(self) -> float:
        """Accuracy of always answering the most frequent class."""
        return self.most / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Of the accuracy at 95 %, of the number of images alone."""
        return wilson(self.right, self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What the end of a run gives."""

    judged: Answered
    int8: MadeInt8 | None
    page: Path | None
    left_out: tuple[str, ...]  # in sentences


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Does what no earlier call has done with the same weights."""

    run: Path
    began: Beginning
    clock: Clock
    steps: Steps

    def reached(self, weights: Path, *, beside: Sequence[Path] | None) -> Ended:
        """Evaluate once, write the network for other programs, and the page.

        Args:
            weights: of the network that is kept.
            beside: other run directories that the page shows; None for no page.
        """
        digest = file_digest(weights)
        with self.clock.step("finish"):
            judged = self._judged(weights, digest)
            self.steps.export(weights, self._export)
            int8, left_out = self._int8(weights, digest)
            page = None if beside is None else write_report(self.run, trained=beside)
        return Ended(judged=judged, int8=int8, page=page, left_out=left_out)

    @property
    def _export(self) -> Path:
        return self.run / "export"

    def _judged(self, weights: Path, digest: str) -> Answered:
        """Of the network in float; asked once of the same weights."""
        kept = self.clock.last("evaluation")
        if kept is None or kept["weights"] != digest:
            found = self.steps.evaluate(weights)
            kept = {
                "weights": digest,
                "split": found.split,
                "images": found.images,
                "right": round(found.accuracy * found.images),
                "most": int(found.classes["images"].max()),
            }
            self.clock.note(evaluation=kept)
        return Answered(**{name: value for name, value in kept.items() if name != "weights"})

    def _int8(self, weights: Path, digest: str) -> tuple[MadeInt8 | None, tuple[str, ...]]:
        """The network as the board runs it, and what was left out."""
        board = self.began.board
        if board is None or board.judged_in != "int8":
            return None, ()
        if lacking := missing("litert"):
            return None, (f"no int8 file: it needs {' and '.join(lacking)}: {install('litert')}",)
        kept, file = self.clock.last("int8"), self._export / FILES["int8"]
        if kept is None or kept["weights"] != digest or not file.exists():
            found = self.steps.quantize(weights, self._export)
            assert found.accuracy_int8 is not None  # its classes are those of the data
            told = MadeInt8(
                file=file,
                bytes=found.bytes,
                accuracy=found.accuracy_int8,
                agreement=found.agreement,
            )
            self.clock.note(int8=asdict(told) | {"file": file.name, "weights": digest})
            return told, ()
        names = ("bytes", "accuracy", "agreement")
        return MadeInt8(file=file, **{name: kept[name] for name in names}), ()
