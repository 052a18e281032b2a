"""Small data sets made on the spot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allsight.data.pictures.dataset import Dataset, Example
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("cat", "dog", "traffic light"))


def save_picture(path: Path, width: int = 64, height: int = 48, seed: int = 0) -> Path:
    """Write a small picture of smooth noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((width, height), Image.Resampling.BILINEAR).save(path)
    return path


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a function from lists of (label, x1, y1, x2, y2) to a data set of 64 x 48 pictures in split "train"."""

    def make(*pictures: list[tuple[float, ...]], split: str = "train") -> Dataset:
        examples = []
        for i, rows in enumerate(pictures):
            path = save_picture(tmp_path / "made" / f"picture {i}.png", seed=i)
            table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
            scene = Scene((48, 64), boxes=table[:, 1:], labels=table[:, 0].long(), object_classes=CLASSES)
            examples.append(Example(path, scene))
        return Dataset(tuple(examples), CLASSES, name="made", split=split)

    return make
