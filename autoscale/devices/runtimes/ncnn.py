"""ncnn on the CPU, from ONNX by its converter pnnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale.devices.runtimes.runtime import Pass, Runtime, Subject
from autoscale.errors import InvalidSetting
from autoscale.network.interchange.ncnn import INPUT, OUTPUT, converted, opened

if TYPE_CHECKING:
    from autoscale.devices.timing.conditions import Conditions


class Ncnn(Runtime):
    """One image at a time. Weights and maps stay in float32; by itself ncnn stores halves."""

    name = "ncnn"
    told = "ncnn by pnnx, in float32 where it would store halves by itself (extra ncnn)"
    extras = ("export", "ncnn")
    packages = ("ncnn", "pnnx")
    batches = False

    def ready(self, subject: Subject, asked: Conditions) -> Pass:
        """A network of so many threads."""
        self.require()
        import ncnn

        from autoscale.devices.runtimes.graphs import onnx_file

        files = converted(onnx_file(subject, "float32", self.name), subject.images.shape)
        network = opened(*files, threads=asked.threads)
        image = ncnn.Mat(subject.images[0].numpy()).clone()

        def run() -> Any:
            extractor = network.create_extractor()
            extractor.input(INPUT, image)
            failed, logits = extractor.extract(OUTPUT)
            if failed:
                raise InvalidSetting("ncnn failed on the network; choose another runtime")
            return logits

        return run
