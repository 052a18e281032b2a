"""`allsight export`: a model as a graph for other runtimes."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from allsight.cli.terminal import show
from allsight.errors import ModelError
from allsight.files import refuse_to_overwrite

# Torch is imported inside the functions: help must not wait for it.
if TYPE_CHECKING:
    from allsight.hub import Model

Size = tuple[int, int]
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


def export(
    model: Annotated[Positional[str], arg(metavar="MODEL", help_behavior_hint="")],
    *,
    format: Literal["onnx", "openvino"],
    out: Annotated[Path, arg(metavar="PATH")],
    size: Annotated[str | None, arg(metavar="HxW", help_behavior_hint="(default: any)")] = None,
    force: bool = False,
) -> int:
    """Write a model as a graph from uint8 pictures (1, 3, H, W) to its raw outputs, in float32.

    What a program needs to use it (how pictures are prepared, classes, thresholds) stands in the graph's metadata.

    Args:
        model: Name of a shipped model (see `allsight models`), or a folder with a model or a training run.
        format: ONNX, or OpenVINO's pair of .xml and .bin.
        out: The file to write; OpenVINO's .bin goes beside it.
        size: Height and width in pixels of all pictures, such as 288x384; a graph for one size is a little faster.
        force: Replace what stands there.

    Returns:
        The exit code.
    """
    out = out if out.suffix == SUFFIXES[format] else out.with_name(out.name + SUFFIXES[format])
    files = [out] if format == "onnx" else [out, out.with_suffix(".bin")]
    for file in files:
        refuse_to_overwrite(file, force)

    from allsight.hub import load
    from allsight.predict.graphs import write_onnx, write_openvino

    loaded = load(model)
    fixed = None if size is None else _pixels(size, loaded)
    write = partial(write_onnx if format == "onnx" else write_openvino, size=fixed)
    write(loaded, out)
    for file in files:
        show(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
    return 0


def _pixels(size: str, model: "Model") -> Size:
    """Read "288x384"."""
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    if found is None:
        raise ModelError(f"--size {size}: is not a size; give height and width in pixels, such as 288x384")
    height, width = int(found[1]), int(found[2])
    multiple = model.pictures.multiple
    if not height or not width or height % multiple or width % multiple:
        raise ModelError(f"--size {size}: {model.name} takes sides that are a multiple of {multiple} pixels")
    return height, width
