"""The bootstrap of Sung and Poggio: a detector finds its own hard negatives."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch

from allsight.models.detection.matcher import BACKGROUND, Matcher
from allsight.scene import Scene, Vocabulary

Model = TypeVar("Model")
Negative = TypeVar("Negative")

FALSE_POSITIVE = Vocabulary(("false positive",))


def bootstrap(
    train: Callable[[Sequence[Negative]], Model],
    find_false_positives: Callable[[Model], Iterable[Negative]],
    rounds: int,
    negatives: Iterable[Negative] = (),
) -> tuple[Model, list[Negative]]:
    """Train, collect what the model wrongly takes for objects on pictures that it has not seen, add it, train again.

    Negatives are too many and too varied to be all shown or chosen by hand; those that a first model is wrong about
    are the useful ones.

    Args:
        train: from the negatives so far to a model. Whether it starts anew or goes on is its own business.
        find_false_positives: from a model to what it gets wrong, where nothing, or something known, is to be found.
        rounds: times of collecting, and of training again; 0 trains once.
        negatives: to begin with.

    Returns:
        The last model, and all negatives that it has been trained with. It ends early once nothing is wrong.

    Source:
        Sung and Poggio 1998, "Example-based learning for view-based human face detection", the section on
        bootstrapping.
    """
    known = list(negatives)
    model = train(tuple(known))
    for _ in range(rounds):
        found = list(find_false_positives(model))
        if not found:
            break
        known += found
        model = train(tuple(known))
    return model, known


def false_positives(found: Scene, truth: Scene, *, score: float = 0.5, iou: float = 0.3) -> Scene:
    """Return the objects of a prediction that are none.

    Args:
        found: boxes with scores. truth: of the same picture; where its boxes are not annotated nothing can be told.
        score: from which on a box counts as found.
        iou: a box that overlaps an object by this or more is no false positive, if not a good one.

    Returns:
        `found` with these objects only.
    """
    assert found.boxes is not None and found.scores is not None
    if truth.boxes is None:
        return found.keep(torch.zeros(len(found), dtype=torch.bool))
    crowd = torch.zeros(len(truth), dtype=torch.bool) if truth.crowd is None else truth.crowd
    match = Matcher(iou, iou, rescue=False)(found.boxes, truth.boxes[~crowd], truth.boxes[crowd])
    return found.keep((match == BACKGROUND) & (found.scores >= score))


def add_negatives(truth: Scene, wrong: Scene) -> Scene:
    """Return a truth with boxes of `wrong` as examples of background, which then move along in augmentation.

    Args:
        truth: a picture's annotation, with its vocabulary. wrong: as `false_positives` returns it.

    Returns:
        The annotation with one more class behind its own, "false positive"; areas are left out.
    """
    labels = torch.zeros(len(wrong), dtype=torch.int64)
    return truth.merge(Scene(truth.size, boxes=wrong.boxes, labels=labels, object_classes=FALSE_POSITIVE))
