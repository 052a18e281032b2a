"""The loop of Sung and Poggio on a task done by hand, and what counts as a false positive."""

import torch

from allsight.models.detection.bootstrap import add_negatives, bootstrap, false_positives
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("cell", "dust"))


def scene(*boxes, scores=None, **more):
    table = torch.tensor(boxes).reshape(-1, 4).float()
    scores = None if scores is None else torch.tensor(scores)
    labels = torch.zeros(len(table), dtype=torch.int64)
    return Scene((100, 100), boxes=table, labels=labels, scores=scores, object_classes=CLASSES, **more)


def test_a_threshold_learns_from_its_own_mistakes():
    # Objects are numbers above 10; a model is the middle between the objects and the greatest negative that it knows.
    unseen = [2.0, 5.0, 7.0, 9.0, 9.9]
    trained = []

    def train(negatives):
        trained.append(len(negatives))
        return (10 + max(negatives)) / 2

    def mistakes(threshold):
        return [x for x in unseen if x > threshold][:1]

    model, negatives = bootstrap(train, mistakes, rounds=9, negatives=[0.0])
    assert negatives == [0.0, 7.0, 9.0, 9.9]
    assert model == 9.95
    assert trained == [1, 2, 3, 4]  # it ends early, once nothing is wrong


def test_rounds_are_an_upper_bound_and_none_trains_once():
    model, negatives = bootstrap(lambda known: len(known), lambda model: ["always"], rounds=2)
    assert (model, negatives) == (2, ["always", "always"])
    assert bootstrap(lambda known: len(known), lambda model: ["always"], rounds=0) == (0, [])


def test_false_positives_are_sure_and_far_from_every_object():
    truth = scene([10, 10, 30, 30])
    found = scene([11, 11, 31, 31], [10, 20, 30, 40], [60, 60, 80, 80], [5, 60, 15, 70], scores=[0.9, 0.9, 0.8, 0.3])
    # The second overlaps the object by a third: too badly to be right, too well to be an example of background.
    assert false_positives(found, truth).boxes.tolist() == [[60, 60, 80, 80]]
    assert len(false_positives(found, truth, iou=0.5)) == 2
    assert len(false_positives(found, truth, score=0.1)) == 2


def test_what_lies_in_a_crowd_or_in_no_annotated_picture_is_not_held_against_it():
    found = scene([10, 10, 30, 30], [60, 60, 80, 80], scores=[0.9, 0.9])
    crowd = scene([0, 0, 50, 50], crowd=torch.tensor([True]))
    assert false_positives(found, crowd).boxes.tolist() == [[60, 60, 80, 80]]
    assert len(false_positives(found, scene())) == 2
    assert len(false_positives(found, Scene((100, 100)))) == 0
    assert len(false_positives(scene(scores=[]), scene([1, 1, 9, 9]))) == 0


def test_negatives_are_a_class_behind_the_known_ones_and_can_be_added_twice():
    truth = scene([10, 10, 30, 30], area=torch.tensor([300.0]))
    once = add_negatives(truth, scene([60, 60, 80, 80], scores=[0.9]))
    twice = add_negatives(once, scene([5, 60, 15, 70], scores=[0.9]))
    assert once.labels.tolist() == [0, 2]
    assert twice.labels.tolist() == [0, 2, 2]
    assert twice.names() == ["cell", "false positive", "false positive"]
    assert add_negatives(truth, scene(scores=[])).labels.tolist() == [0]
    flipped = twice.flip()  # they move with the picture
    assert flipped.boxes[1].tolist() == [20, 60, 40, 80]
