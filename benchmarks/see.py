"""`allsight see` end to end, from JPEG files to drawn JPEG files and JSON, against one picture after another.

Run it with `python benchmarks/see.py [--json PATH] [--quick]`. The models are a narrow RetinaNet of the size of
`cells`, with random weights and set to show eight objects a picture, as its speed does not depend on what it has
learned; and `everyday` as it is shipped, with all its heads: tags, boxes, masks, regions and the panoptic map. As
`allsight see` does, it leaves out what its thresholds hide; its peer does not.

The arms are the runtimes. The peer is plain PyTorch: it reads with Pillow, computes one picture on all cores in float32
or bfloat16, draws and writes it, and only then turns to the next one. Where a picture's time goes is told stage by
stage, in milliseconds of one core. Memory is sampled over a long run, the same pictures again and again: if it is
flat, the last tenth takes no more than the first.
"""

import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.cli.looking import Told, told
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.reading import read_picture
from allsight.draw import draw
from allsight.hub import Display, Model, Spec, load
from allsight.models.detection.retinanet import retinanet_narrow
from allsight.models.vision import Vision
from allsight.predict import Predictor, stream
from allsight.predict.predictor import narrow
from allsight.predict.runtimes import Runtime
from allsight.scene import Scene, Vocabulary
from arms import runtimes_of
from timing import Rows, arguments, cpu_milliseconds, line, memory_mib, photographs, report

Write = Callable[[Path, Tensor, Scene], None]
MADE = "made"


def made_model() -> Model:
    torch.manual_seed(0)
    system: Vision = retinanet_narrow(
        trunk=efficientnet_lite0(), classes=Vocabulary(("red", "white", "platelet"))
    ).eval()
    head: Any = system.heads["objects"]
    head.selection = replace(head.selection, score_threshold=0.0, most=8)
    return Model(
        system, Spec("retinanet_narrow"), PictureInputs(384, fill=(127, 127, 127)), Display({"": 0.0}), name=MADE
    )


def writer(folder: Path) -> Write:
    """Return what draws and writes one picture, as `allsight see` does."""

    def write(path: Path, picture: Tensor, scene: Scene) -> None:
        pixels = draw(picture, scene).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / path.name, "JPEG", quality=90)

    return write


def overlapped(predictor: Predictor, paths: Sequence[Path], write: Write | None) -> None:
    def finish(path: Path, picture: Tensor, scene: Scene) -> Told:
        if write is not None:
            write(path, picture, scene)
        return told(scene.to_json(), rows=False)  # JSON and counts, as the command does

    for seen in stream(predictor, paths, then=finish, full_size=write is not None):
        assert seen.scene is not None and seen.result, seen.error
        assert predictor.model.name != MADE or len(seen.scene) == 8


def sequential(predictor: Predictor, paths: Sequence[Path], write: Write | None) -> None:
    for path in paths:
        with Image.open(path) as image:
            picture = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        scene = predictor.shown(predictor.scenes([picture])[0]).with_(source=str(path))
        if write is not None:
            write(path, picture, scene)
        json.dumps(scene.to_json())


def rate(look: Callable[..., None], predictor: Predictor, paths: Sequence[Path], write: Write | None) -> float:
    """Return pictures per second, after a warm-up over the first of them."""
    look(predictor, paths[:8], write)
    start = time.perf_counter()
    look(predictor, paths, write)
    return len(paths) / (time.perf_counter() - start)


def cpu_of(predictor: Predictor, paths: Sequence[Path], write: Write | None) -> float:
    """Return the milliseconds of all cores together that a picture takes: other programs disturb it less."""
    start = time.process_time()
    overlapped(predictor, paths, write)
    return 1000 * (time.process_time() - start) / len(paths)


def eager(model: Model, dtype: torch.dtype) -> Runtime:
    """Return the peer's way to compute: the system as it is, in torch's own layout."""

    @torch.inference_mode()
    def run(pictures: Tensor) -> Any:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return model.system(pictures)

    return run


def memory(model: Model, paths: Sequence[Path], write: Write) -> dict[str, Any]:
    """Return the most memory held over the first tenth of the pictures and over the last."""
    held = []
    for seen in stream(Predictor(model), paths, then=write):
        assert seen.error is None
        held.append(memory_mib())
    tenth = max(1, len(held) // 10)
    first, last = max(held[:tenth]), max(held[-tenth:])
    return {
        "pictures": f"memory over {len(paths):,}",
        "draws": "yes",
        "mib_first_tenth": first,
        "mib_last_tenth": last,
        "ratio": last / first,
    }


def against_the_peers(
    model: Model, plainly: Model, arms: dict[str, Runtime], paths: Sequence[Path], write: Write, rounds: int
) -> list[dict[str, Any]]:
    """Return pictures per second of every runtime, and what that is to plain PyTorch; all take turns."""
    ours = {name: Predictor(model, runtime=runtime) for name, runtime in arms.items()}
    plain = {t: Predictor(plainly, runtime=eager(plainly, t)) for t in (torch.float32, torch.bfloat16)}
    rows = []
    for how in (None, write):
        turns = [
            [rate(overlapped, one, paths, how) for one in ours.values()]
            + [rate(sequential, one, paths[: max(16, len(paths) // 4)], how) for one in plain.values()]
            for _ in range(rounds)
        ]
        *mine, exact, half = (float(value) for value in np.median(turns, axis=0))
        for (name, predictor), found in zip(ours.items(), mine, strict=True):
            rows.append(
                {
                    "model": model.name,
                    "pictures": "640x480",
                    "draws": "yes" if how else "no",
                    "runtime": name,
                    "allsight_per_second": found,
                    "cpu_ms": cpu_of(predictor, paths, how),
                    "eager_float32_per_second": exact,
                    "ratio": found / exact,
                    "eager_bfloat16_per_second": half,
                    "ratio_bfloat16": found / half,
                }
            )
    return rows


def stages(model: Model, arms: dict[str, Runtime], paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return where a picture's time goes, on one core."""
    predictor = Predictor(model)
    pictures = [read_picture(path) for path in paths]
    ready = [predictor.prepare(picture) for picture in pictures]
    outputs = [next(iter(arms.values()))(picture[None]) for picture, _ in ready]
    scenes = [predictor.scene_of(*each) for each in ready]
    shown = [predictor.shown(scene) for scene in scenes]
    drawn = [Image.fromarray(draw(p, s).permute(1, 2, 0).numpy()) for p, s in zip(pictures, shown, strict=True)]

    @torch.inference_mode()
    def decode(i: int) -> None:
        model.system.decode(outputs[i], [ready[i][1]])

    works: dict[str, Callable[[int], Any]] = {
        "read": lambda i: read_picture(paths[i]),
        "scale and pad": lambda i: predictor.prepare(pictures[i]),
        **{f"compute: {name}": lambda i, run=run: run(ready[i][0][None]) for name, run in arms.items()},
        "decode and suppress": decode,
        "JSON": lambda i: json.dumps(predictor.shown(scenes[i]).to_json()),
        "draw": lambda i: draw(pictures[i], shown[i]),
        "write the JPEG": lambda i: drawn[i].save(io.BytesIO(), "JPEG", quality=90),
    }
    return [
        {"model": model.name, "pictures": "640x480", "stage": k, "cpu_ms": cpu_milliseconds(w, len(paths))}
        for k, w in works.items()
    ]


def growth(model: Model, runtime: Runtime, folder: Path, write: Write, count: int) -> list[dict[str, Any]]:
    """Return how the rate of the fastest runtime changes with the pictures' size."""
    rows = []
    for width in (320, 1280, 2560):
        height = width * 3 // 4
        paths = photographs(folder / str(width), max(16, count * 640 // max(640, width)), width, height)
        found = rate(overlapped, Predictor(model, runtime=runtime), paths, write)
        rows.append({"pictures": f"{width}x{height}", "draws": "yes", "allsight_per_second": found})
    return rows


def headline(rows: Rows) -> Rows:
    """Return the fastest runtime, without and with drawing, and that of all heads of `everyday` without."""
    found = []
    for model, draws, words in (
        (MADE, "no", "to JSON"),
        (MADE, "yes", "to JSON and drawn JPEGs"),
        ("everyday", "no", "to JSON by all heads of everyday"),
    ):
        some = [row for row in rows if "runtime" in row and row["draws"] == draws and row["model"] == model]
        best = max(some, key=lambda row: row["allsight_per_second"])
        ours, theirs = best["allsight_per_second"], best["eager_float32_per_second"]
        what = f"JPEGs of {best['pictures']} {words}, {best['runtime']}"
        found.append(line(what, ours, "sequential float32", theirs, "pictures/s"))
    return found


def main() -> None:
    given = arguments(__doc__ or "")
    count, times, rounds = (16, 5, 1) if given.quick else (200, 50, 3)
    model = made_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = folder / "drawn"
        drawn.mkdir()
        write = writer(drawn)
        # Memory first: what later parts hold would hide what this one takes.
        some = photographs(folder / "some", count)
        rows = [memory(model, some * times, write)]
        arms = runtimes_of(model, folder / "model.onnx")
        everything, shown = load("everyday"), load("everyday")
        narrow(shown)
        all_arms = runtimes_of(shown, folder / "everyday.onnx")
        rows = [
            *against_the_peers(model, model, arms, some, write, rounds),
            *against_the_peers(shown, everything, all_arms, some, write, rounds),
            *stages(model, arms, some[:8]),
            *stages(shown, all_arms, some[:8]),
            *growth(model, list(arms.values())[-1], folder, write, count),
            *rows,
        ]
    report("see", rows, given.json, headline)


if __name__ == "__main__":
    main()
