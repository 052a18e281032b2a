"""What computes a model's outputs: torch itself, ONNX Runtime or OpenVINO."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from allsight.errors import AllsightError, ModelError, reason
from allsight.hub import Model
from allsight.layers.folding import folded
from allsight.machine.devices import find_device
from allsight.machine.packages import install_command, missing
from allsight.models.system import System
from allsight.predict.graphs import EXPORTERS, cached, cached_or_made, leaves, outputs_like, rebuild

RuntimeName = Literal["auto", "torch", "onnxruntime", "openvino"]
Precision = Literal["float32", "bfloat16"]
# As benchmarks/see.py finds it: in float32 ONNX Runtime sees 59 pictures a second where OpenVINO sees 52.
FASTEST_FIRST: dict[torch.dtype, tuple[RuntimeName, ...]] = {
    torch.float32: ("onnxruntime", "openvino"),
    torch.bfloat16: ("openvino", "onnxruntime"),
}
CPU = torch.device("cpu")
WORTH_EXPORTING = 300  # pictures: for fewer, "auto" does not make a graph that is not in the cache yet
OWN_SIZES = 4  # of pictures, that get a program of their own in OpenVINO where so many are to be seen


class Runtime(Protocol):
    """Computes a picture's raw outputs; threads may call it at the same time."""

    def __call__(self, pictures: Tensor) -> Any:
        """Return the system's outputs, as `Answering.decode` takes them.

        Args:
            pictures: (1, 3, H, W) uint8, sides a multiple of the model's stride.
        """


class TorchRuntime:
    """The system as it is at the first picture, without the batch norms that its convolutions can take in.

    Args:
        system: in evaluation mode. dtype: float32 or bfloat16.
        device: where to compute; the outputs come back to the CPU.
    """

    def __init__(self, system: System, dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> None:
        self.system = system
        self.dtype = dtype
        self.device = device
        self.sooner: System | None = None
        self.making = threading.Lock()

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Any:
        """Return the system's outputs."""
        if pictures.ndim == 4:
            pictures = pictures.contiguous(memory_format=torch.channels_last)
        with self.making:
            if self.sooner is None:
                self.sooner = folded(self.system, pictures).to(self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            outputs = self.sooner(pictures.to(self.device))
        if self.device.type == "cpu":
            return outputs
        return rebuild(outputs, (leaf.cpu() for leaf in leaves(outputs).values()))

    def __str__(self) -> str:
        return f"torch on {self.device}"


class OnnxRuntime:
    """ONNX Runtime, in float32; every picture is computed in the thread that asks.

    Args:
        graph: an ONNX file as `write_onnx` makes it. like: its outputs' form.
    """

    def __init__(self, graph: Path, like: Any) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.like = like

    def __call__(self, pictures: Tensor) -> Any:
        """Return the system's outputs."""
        found = self.session.run(None, {self.session.get_inputs()[0].name: pictures.numpy()})
        return rebuild(self.like, map(torch.from_numpy, found))

    def __str__(self) -> str:
        return "ONNX Runtime"


class OpenVinoRuntime:
    """OpenVINO; every thread that asks has a request of its own, and as many run at once as there are cores.

    Args:
        graph: an ONNX file as `write_onnx` makes it. like: its outputs' form.
        dtype: float32 or bfloat16, inside; outputs are float32.
        sizes: so many sizes of pictures, those that come first, have a program of their own: made in half a second, it
            takes a sixth less time than the one for any size.
    """

    def __init__(self, graph: Path, like: Any, dtype: torch.dtype = torch.float32, sizes: int = 0) -> None:
        import openvino

        self.settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
            "NUM_STREAMS": cores(),
            "INFERENCE_NUM_THREADS": cores(),
            "ENABLE_CPU_PINNING": False,
        }
        # OpenVINO makes its table of types at the first question; two threads that ask it first, at once, wait for each
        # other for ever (seen with 2026.4: one holds the table, the other Python's lock).
        openvino.Type.u8.to_dtype()
        self.core, self.graph, self.like = openvino.Core(), graph, like
        self.any_size = self._program()
        self.sizes, self.own = sizes, dict[tuple[int, ...], Any]()
        self.making, self.mine = threading.Lock(), threading.local()

    def _program(self, size: tuple[int, ...] | None = None) -> Any:
        """Return what computes pictures (1, 3, H, W) of one size, or of any."""
        model = self.core.read_model(self.graph)
        if size is not None:
            model.reshape(size)
        return self.core.compile_model(model, "CPU", self.settings)

    def _request(self, size: tuple[int, ...]) -> Any:
        """Return this thread's request to the program for a size."""
        with self.making:
            if size not in self.own and len(self.own) < self.sizes:
                self.own[size] = self._program(size)
        requests = self.mine.__dict__.setdefault("requests", {})
        key = size if size in self.own else None
        if key not in requests:
            requests[key] = self.own.get(size, self.any_size).create_infer_request()
        return requests[key]

    def __call__(self, pictures: Tensor) -> Any:
        """Return the system's outputs."""
        found = self._request(tuple(pictures.shape)).infer({0: pictures.numpy()}, share_inputs=True)
        return rebuild(self.like, (torch.from_numpy(np.asarray(value)) for value in found.values()))

    def __str__(self) -> str:
        return "OpenVINO"


def open_runtime(
    name: RuntimeName,
    model: Model,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    pictures: int = WORTH_EXPORTING,
    say: Callable[[str], None] = lambda text: None,
    features: Sequence[str] = (),
) -> Runtime:
    """Return what is to compute a model's outputs.

    Args:
        name: of the runtime. "auto" takes the fastest that is installed and that can run the model; torch if the graph
            for it is not in the cache and the pictures are too few to make it for.
        model: in evaluation mode.
        precision: to compute in; ONNX Runtime has float32 only. bfloat16 takes 0.6 times as long where the CPU has
            instructions for it, but may cost a model half a point of AP: measure it.
        device: see `allsight.machine.devices.find_device`; what is no CPU is torch's alone.
        pictures: how many there are to see.
        say: is told, a line each, what takes time and what went wrong on the way.
        features: names of the trunk's features that its outputs are to have; torch gives all that the model reads.

    Raises:
        ModelError: the runtime is not installed, or the model cannot be exported.
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    place = find_device(device)
    if place.type != "cpu" and name not in ("auto", "torch"):
        raise ModelError(f"--runtime {name}: computes on the CPU only; leave out --device, or the runtime")
    if name == "torch" or place.type != "cpu":
        return TorchRuntime(model.system, dtype, place)
    if name == "auto":
        return _fastest(model, dtype, pictures, say, features) or TorchRuntime(model.system, dtype)
    if not installed(name):
        raise ModelError(f"--runtime {name}: is not installed; run: {install_command('fast')}")
    return _open(name, model, cached_or_made(model, say, features), dtype, features, pictures)


def _fastest(
    model: Model, dtype: torch.dtype, pictures: int, say: Callable[[str], None], features: Sequence[str]
) -> Runtime | None:
    """Return the fastest runtime that can run the model, None if there is none or its graph is not worth while."""
    there = [name for name in FASTEST_FIRST[dtype] if installed(name)]
    if not there or (pictures < WORTH_EXPORTING and not cached(model, features)):
        return None
    try:
        graph = cached_or_made(model, say, features)
    except AllsightError as error:
        say(f"{error}; going on in torch")
        return None
    for name in there:
        try:
            return _open(name, model, graph, dtype, features, pictures)
        except ModelError as error:
            say(f"{error}; going on without it")
    return None


def installed(name: str) -> bool:
    """Whether a runtime is there, with what makes graphs for it."""
    return not missing(name, *EXPORTERS)


def _open(name: str, model: Model, graph: Path, dtype: torch.dtype, features: Sequence[str], pictures: int) -> Runtime:
    sizes = OWN_SIZES if pictures >= WORTH_EXPORTING else 0
    try:
        like = outputs_like(model, features)
        return OnnxRuntime(graph, like) if name == "onnxruntime" else OpenVinoRuntime(graph, like, dtype, sizes)
    except Exception as error:  # a broken installation, or a graph that the runtime does not take
        raise ModelError(f"{name}: cannot run {model.name} ({reason(error)}); see with --runtime torch") from error


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
