"""From instances and regions to one map that gives every pixel both."""

from collections.abc import Collection
from typing import Any

import torch

from allsight.scene import Scene
from allsight.scene.geometry import IGNORE

LEAST_SCORE = 0.5
MOST_HIDDEN = 0.5  # of an instance's mask, by better ones
LEAST_REGION = 64  # pixels


def merged(
    scene: Scene,
    things: Collection[str],
    *,
    least_score: float = LEAST_SCORE,
    most_hidden: float = MOST_HIDDEN,
    least_region: int = LEAST_REGION,
) -> Scene:
    """Return the scene with `panoptic` and `segments`.

    The best instances take their pixels first; one that better ones hide for the most part is dropped. What is left
    goes to the regions that are no things; small ones are dropped.

    Args:
        scene: with masks, labels and scores, and with regions; either may be absent.
        things: names of the classes whose pixels belong to instances.
        least_score: of an instance. most_hidden: share of its mask. least_region: pixels.

    Returns:
        The scene; segments have id, label (in `region_classes`), thing and, of instances, score.

    Source:
        Kirillov et al. 2019, "Panoptic segmentation", section 6 and 7 ("heuristic combination").
    """
    classes = scene.region_classes
    panoptic = torch.zeros(scene.size, dtype=torch.int64)
    segments: list[dict[str, Any]] = []
    if scene.masks is not None and scene.scores is not None and classes is not None:
        names = scene.names()
        for i in scene.scores.argsort(descending=True, stable=True).tolist():
            score = scene.scores[i].item()
            if score < least_score or names[i] not in classes:
                continue
            one = scene.masks[torch.tensor([i])]
            left, top, right, bottom = one.windows[0].tolist()
            mask, window = one.bits.reshape(bottom - top, right - left), panoptic[top:bottom, left:right]
            free = mask & (window == 0)
            if not mask.any() or free.sum() < (1 - most_hidden) * mask.sum():
                continue
            window[free] = len(segments) + 1
            label = classes.index(names[i])
            segments.append({"id": len(segments) + 1, "label": label, "thing": True, "score": score})
    if scene.regions is not None and classes is not None:
        left_over = scene.regions.where(panoptic == 0, IGNORE)
        for label, count in zip(*left_over.unique(return_counts=True), strict=True):
            if label == IGNORE or classes[int(label)] in things or count < least_region:
                continue
            panoptic[left_over == label] = len(segments) + 1
            segments.append({"id": len(segments) + 1, "label": int(label), "thing": False})
    return scene.with_(panoptic=panoptic, segments=tuple(segments))
