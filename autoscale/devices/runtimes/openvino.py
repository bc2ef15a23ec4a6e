"""OpenVINO on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale.devices.runtimes.runtime import Pass, Runtime, Subject

if TYPE_CHECKING:
    from autoscale.devices.timing.conditions import Conditions

#: Without it a network is computed in bfloat16 where the processor can.
IN_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


class OpenVino(Runtime):
    """Reads ONNX files as they are.

    In float32 it is asked for that: by itself it computes in bfloat16 where the processor can.
    """

    name = "openvino"
    told = "OpenVINO (extra openvino), in float32 where it would take bfloat16 by itself"
    extras = ("export", "openvino")
    packages = ("openvino",)
    dtypes = ("float32", "int8")

    def ready(self, subject: Subject, asked: Conditions) -> Pass:
        """Compiled for images of one shape, and so many threads."""
        self.require()
        import openvino

        from autoscale.devices.runtimes.graphs import onnx_file

        core: Any = openvino.Core()
        model = core.read_model(model=onnx_file(subject, asked.dtype, self.name))
        images = subject.images.numpy()
        model.reshape(list(images.shape))
        options = {
            **IN_FLOAT32,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": asked.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # the core may be another program's
        }
        request = core.compile_model(model, "CPU", options).create_infer_request()
        # Images that are handed over with each call cost a small network half its time in Python.
        request.set_input_tensor(openvino.Tensor(images))
        return lambda: request.infer()[0]
