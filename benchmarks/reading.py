"""Reading and augmenting pictures on one thread: ours against Pillow's own operations on the same files.

Run it with `python benchmarks/reading.py [--json PATH] [--quick]`.

full        decode, to a tensor: against Pillow's open, convert, and numpy
to model    decode, scale to 384 pixels and pad: ours decodes JPEGs at reduced scale where that is enough
letterbox   scale and pad alone: against Pillow's resize and paste
augment     flip, affine, scale, crop and colours of a picture with ten boxes: against a chain of Pillow's operations
"""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.geometry import Affine, Crop, Flip, Scale
from allsight.data.pictures.loading import Sample
from allsight.data.pictures.reading import letterbox, read_picture
from allsight.scene import Frame, Scene
from timing import Rows, arguments, line, milliseconds, photograph, report

LONGEST = 384
WINDOW = (288, 384)


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()


def pillow_read(path: Path) -> Tensor:
    with Image.open(path) as image:
        return to_tensor(image.convert("RGB"))


def pillow_letterbox(image: Image.Image, frame: Frame) -> Tensor:
    canvas = Image.new("RGB", (frame.padded[1], frame.padded[0]), (124, 116, 104))
    canvas.paste(image.resize((frame.resized[1], frame.resized[0]), Image.Resampling.BILINEAR))
    return to_tensor(canvas)


def pillow_to_model(path: Path, frame: Frame) -> Tensor:
    with Image.open(path) as image:
        return pillow_letterbox(image.convert("RGB"), frame)


def pillow_augment(image: Image.Image, boxes: np.ndarray, numbers: np.random.Generator) -> tuple[Tensor, np.ndarray]:
    """Augment one operation after the other, each with its own pass over the pixels, as is usual."""
    width, height = image.size
    if numbers.random() < 0.5:
        image = ImageOps.mirror(image)
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    angle, shear = numbers.uniform(-0.1, 0.1, 2)
    forth = np.array([[math.cos(angle), math.sin(angle) + shear], [-math.sin(angle), math.cos(angle)]])
    back, centre = np.linalg.inv(forth), np.array([width, height]) / 2
    shift = centre - back @ centre
    image = image.transform(
        image.size, Image.Transform.AFFINE, (*back[0], shift[0], *back[1], shift[1]), Image.Resampling.BILINEAR
    )
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    corners = (corners - centre) @ forth.T + centre
    factor = numbers.uniform(0.7, 1.6) * min(WINDOW[0] / height, WINDOW[1] / width)
    scaled = (max(1, round(width * factor)), max(1, round(height * factor)))
    image = image.resize(scaled, Image.Resampling.BILINEAR)
    left, top = (int(numbers.integers(0, max(1, scaled[i] - WINDOW[1 - i] + 1))) for i in (0, 1))
    image = image.crop((left, top, left + WINDOW[1], top + WINDOW[0]))
    corners = corners * factor - (left, top)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1).clip(0, (WINDOW[1], WINDOW[0]) * 2)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(numbers.uniform(0.7, 1.3))
    return to_tensor(image), boxes


def compare(
    work: str, picture: str, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int
) -> dict[str, Any]:
    mine, pillow = milliseconds(ours, theirs, repeats=repeats)
    return {
        "work": work,
        "picture": picture,
        "allsight_ms": mine,
        "pillow_ms": pillow,
        "ratio": mine / pillow,
        "allsight_pictures_per_second": 1000 / mine,
    }


def of_files(folder: Path, repeats: int) -> list[dict[str, Any]]:
    rows = []
    for width, height in ((640, 480), (2560, 1920)):
        path, name = folder / f"{width}.jpg", f"{width}x{height}"
        photograph(width, height).save(path, quality=90)
        frame = Frame.fit((height, width), LONGEST)
        image, tensor = Image.open(path).convert("RGB"), read_picture(path)
        pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "full": (lambda p=path: read_picture(p), lambda p=path: pillow_read(p)),
            "to model": (
                lambda p=path, f=frame: letterbox(read_picture(p, longest=LONGEST), f),
                lambda p=path, f=frame: pillow_to_model(p, f),
            ),
            "letterbox": (
                lambda t=tensor, f=frame: letterbox(t, f),
                lambda i=image, f=frame: pillow_letterbox(i, f),
            ),
        }
        rows += [compare(work, name, *pair, repeats) for work, pair in pairs.items()]
    return rows


def of_augmentation(repeats: int) -> dict[str, Any]:
    numbers, randomness = np.random.default_rng(0), torch.Generator().manual_seed(0)
    image = photograph(640, 480)
    low = numbers.uniform(0, 380, (10, 2))
    boxes = np.concatenate([low, low + numbers.uniform(20, 100, (10, 2))], axis=1)
    scene = Scene((480, 640), boxes=torch.from_numpy(boxes).float(), labels=torch.zeros(10, dtype=torch.int64))
    sample = Sample(to_tensor(image), scene, "made", Frame.whole((480, 640)))
    augmentation = Augmentation(WINDOW, (Flip(), Affine(), Scale(0.7, 1.6), Crop()))
    several = 8  # one time is the median over these, as what is drawn decides how long it takes

    def ours() -> None:
        for _ in range(several):
            augmentation(sample, lambda: sample, randomness)

    def theirs() -> None:
        for _ in range(several):
            pillow_augment(image, boxes, numbers)

    row = compare("augment", "640x480", ours, theirs, repeats)
    for key in ("allsight_ms", "pillow_ms"):
        row[key] /= several
    row["allsight_pictures_per_second"] *= several
    return row


def headline(rows: Rows) -> Rows:
    """Return what prediction does with small and large files, and what training does with a decoded picture."""
    words = {"to model": f"JPEG to {LONGEST} pixels", "augment": "augmentation with ten boxes"}
    return [
        line(f"{words[row['work']]}, {row['picture']}", row["allsight_ms"], "Pillow", row["pillow_ms"], "ms")
        for row in rows
        if row["work"] in words
    ]


def main() -> None:
    given = arguments(__doc__ or "")
    torch.set_num_threads(1)
    repeats = 3 if given.quick else 51
    with tempfile.TemporaryDirectory() as folder:
        rows = of_files(Path(folder), repeats)
    report("reading", [*rows, of_augmentation(repeats)], given.json, headline)


if __name__ == "__main__":
    main()
