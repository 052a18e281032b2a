"""The doctor: what is wrong with a data set, before training finds out."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.split import class_presence
from allsight.data.suspicions import darkness, double_boxes, similar_names, unannotated_pixels
from allsight.data.twins import Fingerprint, find_copies, find_twins, fingerprint
from allsight.errors import AnnotationError, PictureError
from allsight.scene import Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE


@dataclass(frozen=True, eq=False)
class Report:
    """What the doctor found.

    Args:
        datasets: the splits without pictures that cannot be decoded: what can be trained on.
        problems: in the order in which they were met.
        pictures: how many examples each split has.
        objects: per split, how many objects each class has.
        tags: per split, how many pictures each class has.
        regions: per split, how many pixels each class has.
    """

    datasets: dict[str, Dataset]
    problems: tuple[Problem, ...]
    pictures: dict[str, int]
    objects: dict[str, dict[str, int]]
    tags: dict[str, dict[str, int]]
    regions: dict[str, dict[str, int]]

    @property
    def fatal(self) -> list[Problem]:
        """The problems with which training cannot start."""
        return [problem for problem in self.problems if problem.severity == "fatal"]

    def lines(self, each: int = 5) -> list[str]:
        """Return the report for a terminal.

        Args:
            each: how many problems of one kind are spelled out.
        """
        lines = []
        for split, count in self.pictures.items():
            told = [f"{name} {n}" for name, n in (self.objects[split] | self.tags[split]).items()]
            pixels = sum(self.regions[split].values())
            told += [f"{name} {n / max(pixels, 1):.1%}" for name, n in self.regions[split].items()]
            more = f" and {len(told) - 12} more classes" if len(told) > 12 else ""
            lines.append(f"{split or 'all'}: {count} pictures; {', '.join(told[:12]) or 'no labels'}{more}")
        for (severity, kind), number in Counter((p.severity, p.kind) for p in self.problems).items():
            lines.append(f"{severity}: {kind}, {number} {'case' if number == 1 else 'cases'}")
            alike = [p for p in self.problems if (p.severity, p.kind) == (severity, kind)]
            lines += [f"  {problem}" for problem in alike[:each]]
            lines += [f"  and {number - each} more"] if number > each else []
        return lines if self.problems else [*lines, "nothing wrong was found"]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        problems = [
            {
                "kind": p.kind,
                "severity": p.severity,
                "path": p.path,
                "message": p.message,
                "picture": p.picture,
                # NaN and infinity have no place in JSON.
                "box": None if p.box is None else [x if abs(x) < float("inf") else None for x in p.box],
            }
            for p in self.problems
        ]
        counts = {"objects": self.objects, "tags": self.tags, "regions": self.regions}
        return {"pictures": self.pictures, **counts, "problems": problems}

    def worst(self, most: int = 12) -> list[tuple[Example, list[Problem]]]:
        """Return pictures to look at, those with most problems first.

        Args:
            most: how many.

        Returns:
            Examples whose scene has the faulty boxes only, as they are written in the file, and their problems.
        """
        by_picture: dict[str, list[Problem]] = {}
        for problem in self.problems:
            if problem.picture is not None:
                by_picture.setdefault(problem.picture, []).append(problem)
        examples = {str(e.path): e for dataset in self.datasets.values() for e in dataset}
        ranked = sorted(by_picture.items(), key=lambda item: -len(item[1]))
        shown = []
        for path, problems in [item for item in ranked if item[0] in examples][:most]:
            example = examples[path]
            boxes = torch.tensor([p.box for p in problems if p.box is not None]).reshape(-1, 4)
            scene = Scene(example.annotation.size, boxes=boxes[boxes.isfinite().all(1)], source=path)
            shown.append((Example(example.path, scene, pixels=example.pixels), problems))
        return shown


def check(datasets: Mapping[str, Dataset], *, model_classes: Vocabulary | None = None) -> Report:
    """Examine the splits of a data set: every picture is decoded, and all is compared with all.

    Args:
        datasets: by name of the split; "train" (or a name that begins so) is the one to learn from.
        model_classes: the vocabulary of the model that shall learn from them, to be compared.
    """
    problems = [problem for dataset in datasets.values() for problem in dataset.problems]
    usable: dict[str, Dataset] = {}
    prints: list[Fingerprint] = []
    groups: list[int] = []
    regions: dict[str, dict[str, int]] = {}
    for number, (split, dataset) in enumerate(datasets.items()):
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(_examine, dataset))
        problems += [problem for example in dataset for problem in double_boxes(example)]
        good = [i for i, result in enumerate(results) if not isinstance(result, Problem)]
        problems += [result for result in results if isinstance(result, Problem)]
        found = [result for result in results if not isinstance(result, Problem)]
        prints += [seen for seen, _ in found]
        groups += [number] * len(good)
        usable[split] = dataset.subset(good)
        problems += darkness([seen for seen, _ in found], usable[split].examples, split)
        counts = [count for _, count in found if count is not None]
        classes = dataset.region_classes or Vocabulary(())
        problems += unannotated_pixels(counts, classes, dataset.name, split)
        pixels = torch.stack(counts).sum(0).tolist() if counts else []
        regions[split] = dict(zip(classes, pixels, strict=False))
    kept = [example for dataset in usable.values() for example in dataset]
    names = list(datasets)
    for first, second, same in find_twins(prints, groups):
        path, other = kept[second].path, kept[first].path
        likeness = "the same as" if same else "nearly the same as"
        text = f"({names[groups[second]]}) is {likeness} {other} ({names[groups[first]]}); scores will be too good"
        problems.append(Problem("duplicate across splits", str(path), text, "warning", picture=str(path)))
    for first, second in find_copies(prints, groups):
        path = kept[second].path
        text = f"is the same as {kept[first].path}, both in {names[groups[second]] or 'one split'}; it counts twice"
        problems.append(Problem("duplicate", str(path), text, "warning", picture=str(path)))
    problems += _class_problems(usable, regions, model_classes)
    return Report(
        usable,
        tuple(dict.fromkeys(problems)),
        {split: len(dataset) for split, dataset in usable.items()},
        {split: _count(dataset, "labels") for split, dataset in usable.items()},
        {split: _count(dataset, "tags") for split, dataset in usable.items()},
        regions,
    )


def _examine(example: Example) -> tuple[Fingerprint, torch.Tensor | None] | Problem:
    """Return what is left of a picture for comparison and the pixels of its regions, or what is wrong with it."""
    try:
        counts = example.region_counts(IGNORE + 1)  # draws masks and regions
        return fingerprint(example), counts
    except (PictureError, AnnotationError) as error:
        kind = "unreadable picture" if isinstance(error, PictureError) else "broken annotation"
        return Problem(kind, str(example.path), str(error).removeprefix(f"{example.path}: "), "dropped")


def _count(dataset: Dataset, field: str) -> dict[str, int]:
    """Return how many objects ("labels") or pictures ("tags") each class has."""
    classes = dataset.object_classes if field == "labels" else dataset.tag_classes
    values = [v for e in dataset if (v := getattr(e.annotation, field)) is not None]
    if classes is None or not values:
        return {}
    if field == "labels":
        counts = torch.bincount(torch.cat(values), minlength=len(classes))
    else:
        counts = (torch.stack(values) > 0.5).sum(0)
    return dict(zip(classes, counts.tolist(), strict=True))


def _class_problems(
    datasets: Mapping[str, Dataset], regions: Mapping[str, Mapping[str, int]], model_classes: Vocabulary | None
) -> list[Problem]:
    """Return what is wrong with the classes of all splits together."""
    problems = []
    learn = next((split for split in datasets if split.startswith("train")), next(iter(datasets), None))
    if learn is None:
        return []
    train = datasets[learn]
    classes = _all_classes(train)
    there = [bool(column.any()) for column in class_presence(train).T]
    there += [pixels > 0 for pixels in regions[learn].values()]
    if not len(train):
        text = f"has no usable picture to learn from in {learn or 'it'}; see the other problems"
        problems.append(Problem("empty", train.name, text, "fatal"))
    elif not any(there):
        what = "no pixel of a class" if train.region_classes is not None else "no object and no tag"
        problems.append(Problem("empty", train.name, f"has {what} in {learn or 'it'}", "fatal"))
    else:
        absent = [name for name, known in zip(classes, there, strict=False) if not known]
        if absent:
            told = ", ".join(absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
            text = f"{learn or 'it'} has no example of {told}; the model cannot learn them"
            problems.append(Problem("absent class", train.name, text, "warning"))
    present = dict(zip(classes, there, strict=False))
    kinds = (train.object_classes, train.tag_classes, train.region_classes)
    problems += [problem for each in kinds if each is not None for problem in similar_names(each, train.name)]
    for split, dataset in datasets.items():
        if split != learn:
            problems += _not_judged(dataset, split, present, regions[split])
        if _all_classes(dataset) != classes:
            text = f"{split} has other classes than {learn}; give both one list of classes"
            problems.append(Problem("class mismatch", dataset.name, text, "fatal"))
    if model_classes is not None and tuple(model_classes) != classes:
        text = f"has {len(classes)} classes, the model has {len(model_classes)} ({model_classes.summary()})"
        problems.append(Problem("class mismatch", train.name, f"{text}; train it for these classes", "fatal"))
    return problems


def _not_judged(dataset: Dataset, split: str, learned: Mapping[str, bool], regions: Mapping[str, int]) -> list[Problem]:
    """Return a word on what a split cannot judge: classes that are learned but do not occur in it."""
    columns = [bool(column.any()) for column in class_presence(dataset).T]
    there = dict(zip(_all_classes(dataset), [*columns, *(pixels > 0 for pixels in regions.values())], strict=False))
    if not len(dataset):
        return [Problem("empty split", dataset.name, f"{split} has no usable picture", "warning")]
    if not any(there.values()):
        text = f"{split} has no label at all in {len(dataset)} pictures; nothing can be judged by it"
        return [Problem("empty split", dataset.name, text, "warning")]
    absent = [name for name, known in learned.items() if known and not there.get(name, False)]
    if not absent:
        return []
    told = ", ".join(absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
    text = f"{split} has no example of {told}, so that nothing can be said of how well they are found"
    return [Problem("absent class", dataset.name, text, "warning")]


def _all_classes(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of objects, then tags, then regions."""
    kinds = (dataset.object_classes, dataset.tag_classes, dataset.region_classes)
    return tuple(name for classes in kinds for name in classes or ())
