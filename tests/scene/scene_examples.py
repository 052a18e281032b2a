"""Small random scenes with every kind of field, the same for the same seed."""

from typing import Any

import numpy as np
import torch

from allsight.scene import Masks, Scene, Vocabulary

OBJECTS = Vocabulary(("cat", "dog", "owl"), (3, 17, 90))
REGIONS = Vocabulary(("sky", "road", "grass"))
POINTS = Vocabulary(("nose", "left_eye", "right_eye"))


def example(seed: int, *, dense: bool = True) -> Scene:
    """Return a scene of about 10 x 14 pixels with up to five overlapping objects."""
    numbers = np.random.default_rng(seed)
    height, width = int(numbers.integers(6, 14)), int(numbers.integers(6, 18))
    count = int(numbers.integers(0, 6))
    masks = torch.zeros((count, height, width), dtype=torch.bool)
    for i in range(count):
        y, x = int(numbers.integers(0, height)), int(numbers.integers(0, width))
        part = masks[i, y : y + int(numbers.integers(1, 9)), x : x + int(numbers.integers(1, 9))]
        part[...] = torch.from_numpy(numbers.random(tuple(part.shape)) < 0.8)
        masks[i, y, x] = True
    packed = Masks.from_dense(masks)
    points = torch.from_numpy(numbers.random((count, 3, 3)) * [width, height, 1]).float()
    points[..., 2] = torch.from_numpy(numbers.integers(1, 3, (count, 3))).float()
    fields: dict[str, Any] = {}
    if dense:
        normals = torch.from_numpy(numbers.normal(size=(3, height, width))).float()
        fields = {
            "regions": torch.from_numpy(numbers.integers(0, 3, (height, width))),
            "panoptic": torch.from_numpy(numbers.integers(0, 9, (height, width))),
            "flow": torch.from_numpy(numbers.normal(size=(2, height, width))).float(),
            "flow_valid": torch.from_numpy(numbers.random((height, width)) < 0.9),
            "depth": torch.from_numpy(numbers.random((height, width))).float(),
            "normals": normals / normals.norm(dim=0),
        }
    return Scene(
        (height, width),
        boxes=packed.boxes(),
        labels=torch.from_numpy(numbers.integers(0, 3, count)),
        scores=torch.from_numpy(numbers.random(count).round(3)).float(),
        crowd=torch.from_numpy(numbers.random(count) < 0.3),
        area=packed.area(),
        masks=packed,
        keypoints=points,
        tracks=torch.arange(count),
        object_classes=OBJECTS,
        region_classes=REGIONS,
        keypoint_classes=POINTS,
        source="a picture.jpg",
        **fields,
    )


def assert_same(one: Scene, two: Scene, tolerance: float = 1e-4) -> None:
    """Fail unless two scenes say the same."""
    for name, value in vars(one).items():
        other = getattr(two, name)
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, other, atol=tolerance, rtol=0, msg=lambda m, name=name: f"{name}: {m}")
        elif isinstance(value, Masks):
            assert torch.equal(value.dense(), other.dense()), name
        else:
            assert value == other, name
