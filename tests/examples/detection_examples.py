"""What the tests of detectors share."""

import torch

from allsight.data.pictures.loading import Batch
from allsight.ops.boxes import pairwise_iou
from allsight.scene import Frame, Scene, Vocabulary

CLASSES = Vocabulary(("square", "disc"))
SIZE = (64, 96)


def scene(boxes, labels, size=SIZE, **more):
    return Scene(size, boxes=torch.tensor(boxes).reshape(-1, 4).float(), labels=torch.tensor(labels).long(), **more)


def batch(scenes, size=SIZE):
    pictures = torch.randint(0, 256, (len(scenes), 3, *size), dtype=torch.uint8)
    return Batch(pictures, [Frame.whole(size)] * len(scenes), scenes, [f"{i}.jpg" for i in range(len(scenes))])


def learned(system, pictures, truths, steps, rate=3e-3):
    """Train on a few pictures and return what the system then says of them."""
    frames = [Frame.whole(truth.size) for truth in truths]
    learn = Batch(pictures, frames, truths, [f"{i}.jpg" for i in range(len(truths))])
    optimizer = torch.optim.AdamW(system.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(system.loss(learn).values()).backward()
        optimizer.step()
    # Batch norm with two pictures: the statistics of the batch are the truth here, not their slow average.
    with torch.no_grad():
        return system.decode(system(pictures), frames)


def check_that_it_learns_two_pictures_by_heart(system):
    pictures = torch.full((2, 3, 64, 64), 60, dtype=torch.uint8)
    pictures[0, :, 12:44, 16:48] = 250
    pictures[1, 0, 24:56, 8:40] = 250
    truths = [scene([[16, 12, 48, 44]], [0], (64, 64)), scene([[8, 24, 40, 56]], [1], (64, 64))]
    for truth, found in zip(truths, learned(system, pictures, truths, 60), strict=True):
        assert found.labels[0] == truth.labels[0]
        assert found.scores[0] > 0.3
        assert float(pairwise_iou(found.boxes[:1], truth.boxes)) > 0.6
