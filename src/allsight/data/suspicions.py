"""What looks wrong in annotated pictures though it can be read: double boxes, similar names, darkness."""

import re
from collections.abc import Iterable, Sequence

import torch

from allsight.data.pictures.dataset import Example, Problem
from allsight.data.twins import Fingerprint
from allsight.ops.boxes import pairwise_iou
from allsight.scene import Vocabulary
from allsight.scene.vocabulary import IGNORE

NEARLY = 0.95  # overlap from which two boxes of one class are one object drawn twice
DARK = 32  # of 255: pictures whose brightest pixel is darker use an eighth of their range or less
LEAST_LETTERS = 5  # shorter names of different things differ by a letter too: cat, car, bat


def double_boxes(example: Example) -> list[Problem]:
    """Return a problem for every picture that has a box twice, or nearly, in one class; crowds aside."""
    scene = example.annotation
    if scene.boxes is None or scene.labels is None or len(scene.boxes) < 2:
        return []
    overlap = pairwise_iou(scene.boxes, scene.boxes).triu(1)
    overlap = overlap * (scene.labels[:, None] == scene.labels)
    if scene.crowd is not None:
        overlap = overlap * ~(scene.crowd[:, None] | scene.crowd)
    problems = []
    later = torch.nonzero(overlap.amax(0) > NEARLY)[:, 0].tolist()
    for i in later:
        j = int(overlap[:, i].argmax())
        same = torch.equal(scene.boxes[i], scene.boxes[j])
        kind = "double box" if same else "nearly double box"
        x1, y1, x2, y2 = scene.boxes[i].tolist()
        text = (
            f"the box {x1:g}, {y1:g}, {x2:g}, {y2:g} ({scene.names()[i]}) stands there {'' if same else 'nearly '}twice"
        )
        path = str(example.path)
        problems.append(Problem(kind, path, text, "warning", (x1, y1, x2, y2), path))
    return problems


def similar_names(classes: Vocabulary, name: str) -> list[Problem]:
    """Return a problem for every two classes whose names differ by case, spaces or one letter.

    Args:
        classes: of one kind. name: of the data set.
    """
    problems = []
    plain = [re.sub(r"[\W_]+", "", each.casefold()) for each in classes]
    for second in range(len(plain)):
        for first in range(second):
            if plain[first] == plain[second]:
                how = "differ by case, spaces or signs alone"
            elif one_letter_apart(plain[first], plain[second]):
                how = "differ by one letter"
            else:
                continue
            text = f"the classes {classes[first]!r} and {classes[second]!r} {how}; are they one class?"
            problems.append(Problem("similar names", name, text, "warning"))
    return problems


def one_letter_apart(first: str, second: str) -> bool:
    """Whether two words of some length become equal by one letter more, less or other; digits are no slips."""
    short, long = sorted((first, second), key=len)
    if len(long) - len(short) > 1 or len(short) < LEAST_LETTERS:
        return False
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    odd = long[start] + (short[start] if len(short) == len(long) else "")
    rest = short[start + 1 :] if len(short) == len(long) else short[start:]
    return long[start + 1 :] == rest and odd.isalpha()


def darkness(prints: Sequence[Fingerprint], examples: Sequence[Example], split: str) -> list[Problem]:
    """Return a problem if pictures use a small part of their range, as 12 bits kept in 16 do.

    Args:
        prints: of the pictures. examples: the same ones. split: what they are called.
    """
    dark = [i for i, each in enumerate(prints) if 0 < each.brightest < DARK]
    if not dark:
        return []
    most = max(prints[i].brightest for i in dark)
    text = (
        f"{len(dark)} of {len(prints)} pictures of {split or 'it'} are nearly black: no pixel is brighter than {most}"
    )
    text += " of 255, as where 12 bits are kept in 16; stretch them over their whole range"
    path = str(examples[dark[0]].path)
    return [Problem("nearly black", path, text, "warning", picture=path)]


def unannotated_pixels(counts: Iterable[torch.Tensor], classes: Vocabulary, name: str, split: str) -> list[Problem]:
    """Return a problem if a class has no pixel while some are 255, which means that they are not annotated.

    Args:
        counts: (256,) pixels of every label, of every picture.
    """
    total = sum(counts, torch.zeros(IGNORE + 1, dtype=torch.int64))
    absent = [each for label, each in enumerate(classes) if not total[label]]
    if not absent or not total[IGNORE]:
        return []
    share = float(total[IGNORE] / total.sum())
    text = (
        f"{share:.1%} of the pixels of {split or 'it'} are 255 or ignored, which means not annotated, and no pixel is"
    )
    text += f" {' or '.join(absent[:3])}; of maps painted 0 and 255, write `classes: {{0: background, 255: object}}`"
    return [Problem("not annotated", name, text, "warning")]
