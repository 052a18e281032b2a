"""`allsight see` end to end, from JPEG files to drawn JPEG files and JSON, against one picture after another.

Run it with `python benchmarks/see.py [--json PATH] [--quick]`. The model is a narrow RetinaNet of the size of `cells`,
with random weights and set to show eight objects a picture: its speed does not depend on what it has learned.

The peer reads with Pillow, computes one picture in float32, draws and writes it, and only then turns to the next one.
Memory is sampled over a long run: if it is flat, the last pictures take no more than the first.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allsight.backbones.efficientnet_lite import efficientnet_lite0
from allsight.draw import draw
from allsight.hub import Model, Preprocessing, Spec
from allsight.models.detection.retinanet import retinanet_narrow
from allsight.models.vision import Vision
from allsight.predict import Predictor, stream
from allsight.scene import Scene, Vocabulary
from timing import arguments, memory_mib, photographs, report

Write = Callable[[Path, Tensor, Scene], None]


def made_model() -> Model:
    torch.manual_seed(0)
    system: Vision = retinanet_narrow(
        trunk=efficientnet_lite0(), classes=Vocabulary(("red", "white", "platelet"))
    ).eval()
    head: Any = system.heads["objects"]
    head.score_threshold, head.most = 0.0, 8
    return Model(system, Spec("retinanet_narrow"), Preprocessing(384, fill=(127, 127, 127)), {"": 0.0}, name="made")


def writer(folder: Path) -> Write:
    """Return what draws and writes one picture, as `allsight see` does."""

    def write(path: Path, picture: Tensor, scene: Scene) -> None:
        pixels = draw(picture, scene).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / path.name, "JPEG", quality=90)

    return write


def overlapped(predictor: Predictor, paths: Sequence[Path], write: Write | None) -> None:
    for seen in stream(predictor, paths, then=write):
        assert seen.scene is not None and len(seen.scene) == 8, seen.error
        json.dumps(seen.scene.to_json())


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


def against_the_peer(model: Model, paths: Sequence[Path], write: Write, rounds: int) -> list[dict[str, Any]]:
    plain = Predictor(model, precision="float32", batch_size=1)
    rows = []
    for how in (write, None):
        for precision in ("float32", "bfloat16"):
            ours = Predictor(model, precision=precision)  # type: ignore[arg-type]
            turns = [(rate(overlapped, ours, paths, how), rate(sequential, plain, paths, how)) for _ in range(rounds)]
            mine, theirs = (float(value) for value in np.median(turns, axis=0))
            rows.append(
                {
                    "pictures": "640x480",
                    "draws": "yes" if how else "no",
                    "precision": precision,
                    "batch": ours.batch_size,
                    "allsight_per_second": mine,
                    "plain_per_second": theirs,
                    "ratio": mine / theirs,
                }
            )
    return rows


def growth(model: Model, folder: Path, write: Write, count: int) -> list[dict[str, Any]]:
    """Return how the rate changes with the batch, and with the pictures' size."""
    rows = []
    paths = photographs(folder / "batches", count)
    for batch in (1, 2, 4, 8, 16):
        found = rate(overlapped, Predictor(model, batch_size=batch), paths, write)
        rows.append(
            {"pictures": "640x480", "draws": "yes", "precision": "auto", "batch": batch, "allsight_per_second": found}
        )
    for width in (320, 1280, 2560):
        height = width * 3 // 4
        paths = photographs(folder / str(width), max(16, count * 640 // max(640, width)), width, height)
        found = rate(overlapped, Predictor(model), paths, write)
        rows.append(
            {
                "pictures": f"{width}x{height}",
                "draws": "yes",
                "precision": "auto",
                "batch": 8,
                "allsight_per_second": found,
            }
        )
    return rows


def main() -> None:
    given = arguments(__doc__ or "")
    count, many, rounds = (16, 80, 1) if given.quick else (200, 2000, 3)
    model = made_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = folder / "drawn"
        drawn.mkdir()
        write = writer(drawn)
        # Memory first: what later parts hold would hide what this one takes.
        rows = [memory(model, photographs(folder / "many", many), write)]
        rows = [
            *against_the_peer(model, photographs(folder / "some", count), write, rounds),
            *growth(model, folder, write, count),
            *rows,
        ]
    report("see", rows, given.json)


if __name__ == "__main__":
    main()
