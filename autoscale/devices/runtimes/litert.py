"""LiteRT's interpreter on the CPU, with XNNPACK's kernels as apps have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale.devices.runtimes.runtime import Pass, Runtime, Subject

if TYPE_CHECKING:
    from autoscale.devices.timing.conditions import Conditions


class LiteRt(Runtime):
    """Reads the files that `export --to litert` and `quantize` write, of designs alone.

    Pixels 0..255 go in, so a network normalises them itself.
    """

    name = "litert"
    told = "LiteRT, formerly TensorFlow Lite, with XNNPACK (extra litert)"
    extras = ("litert",)
    packages = ("ai-edge-litert",)
    dtypes = ("float32", "int8")
    formats = ("channels-last",)
    folds = True

    def ready(self, subject: Subject, asked: Conditions) -> Pass:
        """An interpreter of so many threads."""
        import numpy as np

        from autoscale.devices.runtimes.graphs import graph_of, to_pixels
        from autoscale.quantization.files.litert import to_litert
        from autoscale.quantization.files.run_litert import Interpreter

        self.require()
        content = to_litert(graph_of(subject, asked.dtype, self.name))
        interpreter = Interpreter(content, threads=asked.threads)
        kind = np.uint8 if asked.dtype == "int8" else np.float32
        pixels = np.ascontiguousarray(to_pixels(subject.images).permute(0, 2, 3, 1).numpy(), kind)
        return lambda: interpreter.run(pixels)
