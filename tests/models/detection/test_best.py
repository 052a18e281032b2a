"""The best of many scored boxes: against sorting all of them, and real answers against the plain way to find them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional

from allsight.hub import load
from allsight.models.classification.located import LocatedTagHead
from allsight.models.detection.best import Selection, best_objects
from allsight.models.detection.generalised_focal import GeneralisedFocalHead
from allsight.models.explanations import class_activation_map
from allsight.predict import Predictor
from allsight.scene import Frame, Masks, Scene

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry")

shapes = st.tuples(st.integers(1, 3), st.integers(1, 30), st.integers(1, 6))


@given(shapes, st.integers(1, 40), st.integers(0, 1000))
def test_best_pairs_are_the_first_of_all_sorted(shape, candidates, seed):
    order = torch.Generator().manual_seed(seed)
    scores = torch.randperm(shape[0] * shape[1] * shape[2], generator=order).float().reshape(shape)
    best, boxes, labels = Selection(candidates=candidates).best_pairs(scores)
    for row, found in enumerate(zip(best.tolist(), boxes.tolist(), labels.tolist(), strict=True)):
        every = [(float(scores[row, n, c]), n, c) for n in range(shape[1]) for c in range(shape[2])]
        assert list(zip(*found, strict=True)) == sorted(every, reverse=True)[:candidates]


@given(shapes, st.integers(1, 40), st.integers(0, 1000))
def test_of_equal_pairs_any_is_as_good_but_none_comes_twice(shape, candidates, seed):
    scores = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(seed)).float()
    best, boxes, labels = Selection(candidates=candidates).best_pairs(scores)
    assert torch.equal(best, scores.flatten(1).sort(descending=True).values[:, :candidates])
    assert torch.equal(best, scores[torch.arange(shape[0])[:, None], boxes, labels])
    for pairs in (boxes * shape[2] + labels).tolist():
        assert len(set(pairs)) == len(pairs)


@pytest.fixture(scope="module")
def seen():
    """The shipped `everyday` and `tags`, and what they computed of real photographs."""
    data = pytest.importorskip("skimage.data", reason="scikit-image carries the photographs")
    told = []
    for shipped in ("everyday", "tags"):
        model = load(shipped)
        predictor = Predictor(model)
        outputs = []
        for name in PHOTOGRAPHS:
            picture, frame = predictor.prepare(torch.from_numpy(getattr(data, name)()).permute(2, 0, 1).contiguous())
            with torch.inference_mode():
                outputs.append((model.system(picture[None]), frame))
        told.append((model.system, outputs))
    return told


def objects_by_sorting(head: GeneralisedFocalHead, outputs, frame) -> Scene:
    logits, index = outputs.logits.flatten(1).topk(head.selection.candidates)
    places, labels = index // len(head.classes), index % len(head.classes)
    x, y, stride = outputs.places[places[0]].unbind(1)
    numbers = torch.arange(head.numbers).float()
    left, top, right, bottom = ((outputs.sides[0, places[0]].softmax(-1) @ numbers) * stride[:, None]).unbind(1)
    boxes = torch.stack([x - left, y - top, x + right, y + bottom], dim=1)
    whole = Frame.whole(frame.padded)  # suppressed in the model's pixels, as within a graph
    (found,) = best_objects((boxes[None], labels, logits.sigmoid()), [whole], head.classes, head.selection)
    return frame.to_original(found)


def places_by_painting(head: LocatedTagHead, outputs, frame) -> Scene:
    row = outputs.logits[0].softmax(0)
    best, labels = row.topk(head.most)
    labels = labels[best >= head.threshold]
    boxes, masks = [], []
    for label in labels:
        heat = class_activation_map(outputs.features, head.classifier.weight[label])[None]
        fine = functional.interpolate(heat, size=frame.padded, mode="bilinear")[0, 0]
        pieces, count = ndimage.label((fine > 0.4 * fine.max()).numpy())
        largest = max(range(1, count + 1), key=lambda number: (pieces == number).sum())
        y, x = np.nonzero(pieces == largest)
        boxes.append([x.min(), y.min(), x.max() + 1, y.max() + 1])
        masks.append(torch.from_numpy(pieces == largest))
    found = Scene(
        frame.padded,
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=labels,
        scores=row[labels],
        masks=Masks.from_dense(torch.stack(masks)) if masks else Masks.blank(0, frame.padded),
        object_classes=head.classes,
    )
    return frame.to_original(found)


@torch.inference_mode()
def test_real_objects_are_those_of_the_plain_way(seen):
    (system, outputs), _ = seen
    found_any = 0
    for output, frame in outputs:
        (answer,) = system.decode(output, [frame])
        dense = system.heads["objects"].boxes
        objects = objects_by_sorting(dense, dense(output.features, [frame]), frame)
        torch.testing.assert_close(answer.boxes, objects.boxes, atol=0.01, rtol=0)
        assert torch.equal(answer.scores, objects.scores)
        assert answer.names() == objects.names()
        found_any += len(objects)
    assert found_any >= 2


@torch.inference_mode()
def test_real_places_are_those_of_the_plain_way(seen):
    _, (system, outputs) = seen
    found_any = 0
    for output, frame in outputs:
        (answer,) = system.decode(output, [frame])
        places = places_by_painting(system.heads["tags"], output.heads["tags"], frame)
        torch.testing.assert_close(answer.boxes, places.boxes, atol=0.01, rtol=0)
        assert torch.equal(answer.scores, places.scores)
        assert answer.names() == places.names()
        assert answer.weak.tolist() == [True] * len(places)
        assert torch.equal(answer.masks.dense(), places.masks.dense())
        assert torch.equal(answer.tags, output.heads["tags"].logits[0].softmax(0))
        found_any += len(places)
    assert found_any >= 2
