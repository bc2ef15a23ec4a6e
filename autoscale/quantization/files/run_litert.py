"""A LiteRT file carried out by its own interpreter on the CPU."""

from __future__ import annotations

from typing import Any, Literal

from numpy.typing import NDArray

from autoscale.distribution import require

#: Which kernels: XNNPACK's where it has them, as apps run; LiteRT's own; or those it is checked by.
Kernels = Literal["default", "own", "reference"]


class Interpreter:
    """A file ready to be run.

    Raises:
        InvalidSetting: if the package of the extra `litert` is missing.
    """

    def __init__(self, content: bytes, *, kernels: Kernels = "default", threads: int = 1) -> None:
        require("litert", "LiteRT's interpreter")
        from ai_edge_litert import interpreter

        kinds = interpreter.OpResolverType
        resolver = {
            "default": kinds.AUTO,
            "own": kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": kinds.BUILTIN_REF,
        }[kernels]
        self.running: Any = interpreter.Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=resolver
        )
        self.batch = 0

    def run(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Logits (N, classes) as the file gives them: float32, or int8.

        Args:
            pixels: (N, H, W, C), bytes, or float32 for a file of float32.
        """
        (source,) = self.running.get_input_details()
        (made,) = self.running.get_output_details()
        if self.batch != len(pixels):
            self.batch = len(pixels)
            self.running.resize_tensor_input(source["index"], pixels.shape)
            self.running.allocate_tensors()
        self.running.set_tensor(source["index"], pixels.astype(source["dtype"]))
        self.running.invoke()
        found: NDArray[Any] = self.running.get_tensor(made["index"])
        return found
