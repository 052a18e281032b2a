"""Made pictures with one square each, for trainings of seconds."""

from pathlib import Path

import torch

from allsight.data.pictures.dataset import Dataset, Example
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("dark", "light"))
SIZE = (48, 64)
SMALL = {"longest": 64, "epochs": 1, "frozen_batch": 2, "views": 3, "precision": "float32", "frozen": True}


def squares(count: int, seed: int = 0, unknown: int = 0) -> Dataset:
    """Return so many pictures; of the last ones nobody has said what is in them."""
    random = torch.Generator().manual_seed(seed)
    examples = []
    for i in range(count):
        x, y = (int(torch.randint(0, high, (), generator=random)) for high in (40, 24))
        pixels = torch.randint(90, 120, (3, *SIZE), generator=random, dtype=torch.uint8)
        pixels[:, y : y + 20, x : x + 20] = 255 * (i % 2)
        scene = Scene(SIZE, object_classes=CLASSES)
        if i < count - unknown:
            scene = scene.with_(boxes=torch.tensor([[x, y, x + 20, y + 20]]).float(), labels=torch.tensor([i % 2]))
        examples.append(Example(Path(f"{seed}-{i}.png"), scene, pixels=pixels))
    return Dataset(tuple(examples), object_classes=CLASSES, name="squares")
