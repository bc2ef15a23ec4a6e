"""ncnn on the CPU, from ONNX by its converter pnnx."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from autoscale.devices.runtimes.runtime import Pass, Runtime, Subject
from autoscale.errors import InvalidSetting

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

        network: Any = ncnn.Net()
        network.opt.num_threads = asked.threads
        network.opt.use_fp16_storage = False
        network.opt.use_fp16_packed = False
        network.opt.use_fp16_arithmetic = False
        with TemporaryDirectory(prefix="autoscale-ncnn-") as folder:
            param, weights = self._converted(subject, Path(folder))
            if network.load_param(str(param)) or network.load_model(str(weights)):
                raise InvalidSetting("ncnn does not read what pnnx wrote; choose another runtime")
        images = subject.images[0].numpy()
        read, made = network.input_names()[0], network.output_names()[0]
        image = ncnn.Mat(images).clone()

        def run() -> Any:
            extractor = network.create_extractor()
            extractor.input(read, image)
            failed, logits = extractor.extract(made)
            if failed:
                raise InvalidSetting("ncnn failed on the network; choose another runtime")
            return logits

        return run

    def _converted(self, subject: Subject, folder: Path) -> tuple[Path, Path]:
        """The files of its layers and of their numbers."""
        import pnnx

        from autoscale.devices.runtimes.graphs import onnx_file

        (folder / "model.onnx").write_bytes(onnx_file(subject, "float32", self.name))
        shape = ",".join(str(side) for side in subject.images.shape)
        words = [pnnx.EXEC_PATH, "model.onnx", f"inputshape=[{shape}]", "fp16=0"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        param, weights = folder / "model.ncnn.param", folder / "model.ncnn.bin"
        if done.returncode or not param.exists() or not weights.exists():
            told = (done.stderr or done.stdout).strip().splitlines() or ["it wrote no files"]
            raise InvalidSetting(f"pnnx cannot convert the network for ncnn: {told[-1]}")
        return param, weights
