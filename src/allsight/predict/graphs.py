"""Models as ONNX graphs: from uint8 pictures to the raw outputs that `decode` reads, and a cache of them."""

import atexit
import copy
import hashlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import allsight
from allsight.errors import AllsightError, ModelError, reason
from allsight.files import atomic, write_text
from allsight.hub import Model
from allsight.machine.packages import install_command, missing
from allsight.models.system import System
from allsight.weights.fetch import cache_folder
from allsight.weights.files import sha256

INPUT = "pictures"
EXPORTERS = ("onnx", "onnxscript")
_CODE = ("ops", "layers", "backbones", "models", "predict")  # folders that decide what a graph computes
_LARGEST_SIDE = 8192  # pixels, of a graph for any size


class Answers(nn.Module):
    """A system that returns what its decode reads, as a flat tuple: features on the way are not worth copying.

    Args:
        system: whose. features: names of those that are wanted all the same.
    """

    def __init__(self, system: System, features: Sequence[str] = ()) -> None:
        super().__init__()
        self.system = system
        self.features = tuple(features)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, H, W) uint8 to the leaves of the lean outputs, in their order."""
        return tuple(leaves(self.system.lean(self.system(pictures), self.features)).values())


def leaves(outputs: Any, name: str = "") -> dict[str, Tensor]:
    """Return the tensors in nested named tuples, dicts and tuples by their path, such as "heads.objects.logits"."""
    if isinstance(outputs, Tensor):
        return {name: outputs}
    if hasattr(outputs, "_asdict"):
        outputs = outputs._asdict()
    if isinstance(outputs, tuple | list):
        outputs = dict(enumerate(outputs))
    if not isinstance(outputs, Mapping):
        return {}
    prefix = f"{name}." if name else ""
    return {path: leaf for key, value in outputs.items() for path, leaf in leaves(value, f"{prefix}{key}").items()}


def rebuild(like: Any, values: Iterator[Tensor]) -> Any:
    """Return what `like` is, with its tensors replaced by `values` in the order of `leaves`."""
    if isinstance(like, Tensor):
        return next(values)
    if isinstance(like, Mapping):
        return {key: rebuild(value, values) for key, value in like.items()}
    if isinstance(like, tuple | list):
        parts = [rebuild(value, values) for value in like]
        return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)
    return like


@torch.inference_mode()
def outputs_like(model: Model, features: Sequence[str] = ()) -> Any:
    """Return what a model's graph gives for the smallest picture, computed by torch: the form to `rebuild`."""
    side, system = model.pictures.multiple, model.system.eval()
    return system.lean(system(torch.zeros(1, 3, side, side, dtype=torch.uint8)), features)


def write_onnx(model: Model, path: Path, size: tuple[int, int] | None = None, *, features: Sequence[str] = ()) -> None:
    """Write a model as ONNX: input "pictures" (1, 3, H, W) uint8, outputs named by their path, float32.

    How to prepare a picture, the classes and the thresholds stand in the metadata under "allsight", as JSON.

    Args:
        model: any whose forward torch can trace.
        path: the file; what stands there is replaced once all is well.
        size: (H, W) of all pictures; None makes a graph for every multiple of the model's stride.
        features: names of the trunk's features to give as well; those that the model reads cost nothing.

    Raises:
        ModelError: packages for it are missing, or the model cannot be exported. OutputError: it cannot be written.
    """
    if absent := missing(*EXPORTERS):
        raise ModelError(f"{', '.join(absent)}: not installed, but export needs it; run: {install_command('fast')}")
    from allsight.predict.onnx_ops import TRANSLATIONS

    multiple = model.pictures.multiple
    names = list(leaves(outputs_like(model, features)))
    # Where kernels learn, our "same" convolutions pad their input, which runtimes fuse; else they pad the kernel.
    answers = Answers(copy.deepcopy(model.system), features).eval().requires_grad_()
    # So large that no map of a pyramid is one cell wide: a side of 1 would be taken for a constant.
    pictures = torch.zeros(1, 3, *(size or (12 * multiple, 9 * multiple)), dtype=torch.uint8)
    most = max(_LARGEST_SIDE // multiple, 2)
    sides = {axis: multiple * torch.export.Dim(name, min=1, max=most) for axis, name in ((2, "rows"), (3, "columns"))}
    try:
        with _quiet(), torch.enable_grad():
            program = torch.export.export(answers, (pictures,), dynamic_shapes=None if size else {INPUT: sides})
            exported: Any = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=names,
                dynamo=True,
                verbose=False,
                custom_translation_table=TRANSLATIONS,
            )
    except Exception as error:  # torch has many of its own for what it cannot trace
        raise ModelError(f"{model.name}: cannot be exported ({reason(error)}); run it in torch") from error
    exported.model.metadata_props["allsight"] = json.dumps(description(model), ensure_ascii=False)
    with atomic(path) as temporary:
        exported.save(temporary)


def write_openvino(model: Model, path: Path, size: tuple[int, int] | None = None) -> None:
    """Write a model as OpenVINO's pair: `path` with the graph and, beside it, .bin with the weights in float32.

    Args:
        model, size: see `write_onnx`. path: ends in .xml.

    Raises:
        ModelError, OutputError: as `write_onnx`.
    """
    if missing("openvino"):
        raise ModelError(f"openvino: not installed, but this export needs it; run: {install_command('fast')}")
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        graph, made = Path(folder, "model.onnx"), Path(folder, "model.xml")
        write_onnx(model, graph, size)
        converted = openvino.convert_model(graph)
        converted.set_rt_info(json.dumps(description(model), ensure_ascii=False), "allsight")
        openvino.save_model(converted, made, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):  # the graph last: where it stands, its weights do
            with atomic(path.with_suffix(suffix)) as temporary:
                shutil.copyfile(made.with_suffix(suffix), temporary)


def description(model: Model) -> dict[str, Any]:
    """Return what a reader of a graph has to know besides it, as plain values."""
    return {
        "model": model.name,
        "preprocessing": asdict(model.pictures),
        "thresholds": {} if model.display is None else dict(model.display.thresholds),
        "spec": model.spec.to_json(),
    }


def cached(model: Model, features: Sequence[str] = ()) -> Path | None:
    """Return a model's graph in the cache; None if it has to be made."""
    path = _place(model, features)
    return path if _intact(path) else None


def cached_or_made(model: Model, say: Callable[[str], None], features: Sequence[str] = ()) -> Path:
    """Return a model's graph for any size from the cache, where it is made if it is missing or damaged.

    Where the cache cannot be written, the graph is made in a folder that is gone when this process ends.

    Args:
        model: whose. say: is told what takes time, what was damaged, and that the cache cannot be written.
        features: see `write_onnx`; with others it is another graph.

    Raises:
        ModelError, OutputError: as `write_onnx`.
    """
    path = _place(model, features)
    if _intact(path):
        return path
    kept = _writable(path.parent, say)
    if not kept:
        path = _passing_folder() / path.name
    elif path.exists():
        say(f"{path}: is damaged, made again")
    say(f"preparing {model.name} for fast runtimes{', once' if kept else ''}; its graph takes half a minute or so")
    _seal(path).unlink(missing_ok=True)
    write_onnx(model, path, features=features)
    write_text(_seal(path), sha256(path))
    return path


def _writable(folder: Path, say: Callable[[str], None]) -> bool:
    """Tell whether files can be written to the cache's folder, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = f"cannot be written ({error.strerror}), so that nothing prepared is kept"
        say(f"{cache_folder()}: {reason}; set the environment variable ALLSIGHT_CACHE to a folder that can be written")
        return False
    return True


def _passing_folder() -> Path:
    """Return a folder that is removed when this process ends: runtimes may go on reading from it until then."""
    folder = tempfile.mkdtemp(prefix="allsight-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _place(model: Model, features: Sequence[str]) -> Path:
    """The cache's file for a model: its name stands for weights, form, code and versions, so it is never stale."""
    seen = hashlib.sha256()
    parts = (tuple(features), model.spec.to_json(), asdict(model.pictures), *map(version, ("torch", *EXPORTERS)))
    seen.update(json.dumps(parts, sort_keys=True).encode())
    package = Path(allsight.__file__).parent
    for file in sorted(file for folder in _CODE for file in (package / folder).rglob("*.py")):
        seen.update(file.read_bytes())
    for name, tensor in [*model.system.named_parameters(), *model.system.named_buffers()]:
        seen.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        seen.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return cache_folder() / "graphs" / f"{seen.hexdigest()[:32]}.onnx"


def _seal(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _intact(path: Path) -> bool:
    try:
        return sha256(path) == _seal(path).read_text(encoding="utf-8")
    except (OSError, ValueError, AllsightError):
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's notes to programmers (torchvision is missing, an internal name is old) from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
