"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale.devices.runtimes.runtime import Pass, Runtime, Subject

if TYPE_CHECKING:
    from autoscale.devices.timing.conditions import Conditions


class OnnxRuntime(Runtime):
    """Reads what `export --to onnx` writes; int8 by quantisation before and after operations."""

    name = "onnxruntime"
    told = "ONNX Runtime (extra export)"
    extras = ("export",)
    packages = ("onnxruntime",)
    dtypes = ("float32", "int8")

    def ready(self, subject: Subject, asked: Conditions) -> Pass:
        """A session of so many threads."""
        from autoscale.devices.runtimes.graphs import onnx_file
        from autoscale.network.interchange.onnx import onnx_session

        content = onnx_file(subject, asked.dtype, self.name)
        session, images = onnx_session(content, threads=asked.threads), subject.images.numpy()
        return lambda: session.run(None, {"images": images})[0]
