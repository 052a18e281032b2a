"""What the tests of detectors share."""

import torch

from allsight.data.loading import Batch
from allsight.ops.boxes import pairwise_iou
from allsight.scene import Frame, Scene, Vocabulary

CLASSES = Vocabulary(("square", "disc"))
SIZE = (64, 96)


def scene(boxes, labels, size=SIZE, **more):
    return Scene(size, boxes=torch.tensor(boxes).reshape(-1, 4).float(), labels=torch.tensor(labels).long(), **more)


def batch(scenes, size=SIZE):
    pictures = torch.randint(0, 256, (len(scenes), 3, *size), dtype=torch.uint8)
    return Batch(pictures, [Frame.whole(size)] * len(scenes), scenes, [f"{i}.jpg" for i in range(len(scenes))])


def check_that_it_learns_two_pictures_by_heart(system):
    pictures = torch.full((2, 3, 64, 64), 60, dtype=torch.uint8)
    pictures[0, :, 12:44, 16:48] = 250
    pictures[1, 0, 24:56, 8:40] = 250
    truths = [scene([[16, 12, 48, 44]], [0], (64, 64)), scene([[8, 24, 40, 56]], [1], (64, 64))]
    frames = [Frame.whole((64, 64))] * 2
    learn = Batch(pictures, frames, truths, ["a", "b"])
    optimizer = torch.optim.AdamW(system.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(system.loss(learn).values()).backward()
        optimizer.step()
    # Batch norm with two pictures: the statistics of the batch are the truth here, not their slow average.
    with torch.no_grad():
        answers = system.decode(system(pictures), frames)
    for truth, found in zip(truths, answers, strict=True):
        assert found.labels[0] == truth.labels[0]
        assert found.scores[0] > 0.3
        assert float(pairwise_iou(found.boxes[:1], truth.boxes)) > 0.6
