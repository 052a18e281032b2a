"""Which split learns and which one judges: one rule for all recipes, and no picture in two splits.

- Names decide: train, training, train2017, train_set; val, valid, validation, dev; test, testing. trainval is train
  where there is no train.
- `val` judges; `test` does so only where there is no `val`. What has neither is split by chance.
- A picture belongs to one split. One that several list stays in the first of them, in the order train, val, test, and
  leaves the others, with a word on how many. A split of which nothing remains (trainval beside train and val, or
  `val: images/train`) is left out.
- Splits that number their classes differently are joined by the names of the classes.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from allsight.data.pictures.dataset import MISSING_SPLIT, Dataset, Problem, join
from allsight.data.split import split
from allsight.scene import Vocabulary

Role = Literal["train", "val", "test"]
_WORDS: dict[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_BOTH = "trainval"
_SHARED = "shared pictures"
HELD_OUT = 0.2  # share of pictures that are set aside where nothing else can judge


def role_of(name: str) -> Role | None:
    """Return what a split is for by the first word in its name that says so; None if none does."""
    return next((_WORDS[word] for word in re.findall("[a-z]+", name.lower()) if word in _WORDS), None)


def ordered(names: Iterable[str]) -> list[str]:
    """Return the names of splits in the order in which they keep a picture that several of them list."""
    ranks = {"train": 0, "val": 1, "test": 2}
    return sorted(names, key=lambda name: ranks.get(role_of(name) or "", 3))


def learned_name(names: Iterable[str]) -> str | None:
    """Return the split to learn from, or None."""
    there = ordered(names)
    both = (name for name in there if name.lower().startswith(_BOTH))
    return next((name for name in there if role_of(name) == "train"), next(both, None))


def judging_name(names: Iterable[str]) -> str | None:
    """Return the split to be judged by: val, or test where there is no val; or None."""
    return next((name for name in ordered(names) if role_of(name) in ("val", "test")), None)


@dataclass(frozen=True)
class Sides:
    """What learns and what judges.

    Args:
        learned: examples to learn from. held_out: examples to be judged by; None if there are none.
        words: which split judges, for the card.
    """

    learned: Dataset
    held_out: Dataset | None
    words: str


def sides(datasets: Mapping[str, Dataset], seed: int, held_out: float = HELD_OUT, *, chance: bool = True) -> Sides:
    """Choose what learns and what judges.

    Args:
        datasets: all splits of one data set, as `open_splits` gives them: of one vocabulary, no picture in two.
        seed: for the pictures that are set aside by chance where no split can judge.
        held_out: their share.
        chance: whether they may be; without, a data set that has a split to learn from but none to judge has no judge.

    Returns:
        Both sides; a test split is not touched while there is a val.
    """
    filled = [name for name, dataset in datasets.items() if len(dataset)] or list(datasets)
    learned, judging = learned_name(filled), judging_name(filled)
    if learned is not None and judging is not None:
        words = judging if role_of(judging) == "val" else f"{judging}, as there is no val"
        return Sides(datasets[learned], datasets[judging], words)
    if learned is not None and not chance:
        return Sides(datasets[learned], None, "none")
    # Every picture may learn: what judges is drawn from all of them.
    whole = join(list(datasets.values()))
    parts = split(whole, {"train": 1 - held_out, "val": held_out}, seed)
    told = f"{held_out:.0%} of the pictures, drawn with seed {seed}"
    return Sides(parts["train"], parts["val"], told)


def settled(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the splits of one data set under one vocabulary, with every picture in one of them.

    Args:
        datasets: as they were read.

    Returns:
        Splits in the order in which they were given; what was joined or left out is a problem of theirs.
    """
    there = apart(of_one_vocabulary(datasets))
    gone = [name for name, dataset in there.items() if not len(dataset) and _left_out(dataset)]
    first = next((name for name in there if name not in gone), None)
    if first is None:
        return there
    # What is said about a split that is left out has to stand somewhere.
    told = (problem for name in gone for problem in there[name].problems)
    problems = tuple(dict.fromkeys((*there[first].problems, *told)))
    there[first] = replace(there[first], problems=problems)
    return {name: dataset for name, dataset in there.items() if name not in gone}


def _left_out(dataset: Dataset) -> bool:
    return any(problem.kind in (MISSING_SPLIT, _SHARED) for problem in dataset.problems)


def apart(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the splits with every picture in one of them; see the module."""
    owners: dict[object, str] = {}
    kept: dict[str, Dataset] = {}
    for name in ordered(datasets):
        dataset = datasets[name]
        shared: dict[str, list[str]] = {}
        own = []
        for i, example in enumerate(dataset):
            owner = name if example.pixels is not None else owners.setdefault(_identity(example.path), name)
            if owner == name:
                own.append(i)
            else:
                shared.setdefault(owner, []).append(example.path.name)
        if not shared:
            kept[name] = dataset
            continue
        problems = [_shared(dataset, name, owner, pictures) for owner, pictures in shared.items()]
        if not own:
            others = " and ".join(shared)
            text = f"every picture of {name} is in {others} as well; {name} is left out"
            problems = [Problem(_SHARED, dataset.name, text, "warning")]
        kept[name] = replace(dataset.subset(own), problems=(*dataset.problems, *problems))
    return {name: kept[name] for name in datasets}


def _identity(path: Path) -> object:
    """Return what is the same for one file, whatever links and dots lead to it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return str(path)
    return (status.st_dev, status.st_ino)


def _shared(dataset: Dataset, name: str, owner: str, pictures: list[str], most: int = 3) -> Problem:
    more = f" and {len(pictures) - most} more" if len(pictures) > most else ""
    told = f"{', '.join(pictures[:most])}{more}"
    text = f"{len(pictures)} of {len(dataset)} pictures of {name} are in {owner} as well ({told}); they stay in {owner}"
    return Problem(_SHARED, dataset.name, text, "warning")


def of_one_vocabulary(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the splits with their objects and tags numbered alike, by the names of the classes."""
    made = dict(datasets)
    for field in ("object_classes", "tag_classes"):
        lists = {name: classes for name in ordered(made) if (classes := getattr(made[name], field)) is not None}
        if len(set(lists.values())) < 2:
            continue
        first = next(iter(lists))
        names = tuple(dict.fromkeys(each for classes in lists.values() for each in classes))
        known = lists[first].names == names  # then its own numbers serve
        union = lists[first] if known else Vocabulary(names)
        for name, classes in lists.items():
            dataset = made[name]
            changed = dataset.with_classes(union) if field == "object_classes" else dataset.with_tag_classes(union)
            if classes.names != union.names:
                text = f"{name} lists other classes than {first if name != first else 'the other splits'}, or numbers"
                text += f" them differently ({classes.summary()}); joined by their names"
                problems = (*changed.problems, Problem("other classes", dataset.name, text, "warning"))
                changed = replace(changed, problems=problems)
            made[name] = changed
    return made
