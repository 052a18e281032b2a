"""How few labels do: the score over 1, 2, 5, 10, 20, 50 and all labelled pictures, pretrained against scratch.

    python benchmarks/shots.py ../shared/data/bccd ../shared/data/caltech7 ../shared/data/cifar100_subset --json PATH

Pictures are counted for each class where they are tagged. Each score is the mean over draws of the pictures, with its
95% interval; both arms see the same draws, are judged on the same held-out pictures and make the same number of steps.

- pretrained: `--frozen`, what is written in the README: a trunk that knows ImageNet, held still.
- scratch: the same trunk with random weights, trained whole from the first step on, on views made anew each time. The
  batch norms learn their statistics ten times as fast as published; so few steps hardly teach it anything all the same.

Hours on two cores; `--quick` takes minutes. Started again with the same --runs it goes on where it stopped.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.nn import BatchNorm2d

from allsight.backbones.efficientnet_lite import efficientnet_lite0
from allsight.data.dataset import Dataset
from allsight.data.formats import open_dataset
from allsight.errors import AnnotationError
from allsight.recipes.classifier import Classifier
from allsight.recipes.job import Job, train
from allsight.recipes.retinanet import RetinaNet
from allsight.recipes.settings import FewLabels
from timing import report

ALL = 0
COUNTS = (1, 2, 5, 10, 20, 50, ALL)


class Forgetful(FewLabels):
    """A recipe whose trunk knows nothing, and which is evaluated at the end alone, like the frozen one."""

    @property
    def few(self) -> bool:
        """Also with all pictures."""
        return True

    def job(self, train: Dataset, val: Dataset, notes: Sequence[str]) -> Job:
        """Put everything together, and forget what the trunk knows."""
        job = super().job(train, val, notes)  # type: ignore[safe-super]
        trunk: Any = job.model.system.trunk
        trunk.load_state_dict(efficientnet_lite0(weights=False).cut(list(trunk.channels)[-1]).state_dict())
        for module in trunk.modules():
            if isinstance(module, BatchNorm2d):
                module.momentum = 0.1  # the published 0.01 would take hundreds of steps to know the statistics
        return job


@dataclass(frozen=True)
class ScratchDetector(Forgetful, RetinaNet):
    """RetinaNet, every layer from random weights."""

    freeze_until: str = ""
    trunk_rate: float = 1.0
    batch_size: int = RetinaNet.frozen_batch
    scale: tuple[float, float] = RetinaNet.frozen_scale
    learning_rate: float = 1e-2


@dataclass(frozen=True)
class ScratchClassifier(Forgetful, Classifier):
    """The classifier, every layer from random weights, in one stage."""

    freeze_until: str = ""
    tuned_rate: float = 3e-3

    def job(self, train: Dataset, val: Dataset, notes: Sequence[str]) -> Job:
        """Leave out the stage in which the last layer learns alone."""
        job = super().job(train, val, notes)
        job.stages = [stage._replace(name="") for stage in job.stages[1:]]
        return job


def recipes(data: Path, quick: bool) -> dict[str, FewLabels]:
    """Return the two arms for a data set."""
    dataset = open_dataset(data)
    less: dict[str, Any] = {"steps": 20, "longest": 96, "views": 2} if quick else {}
    if dataset.object_classes is not None:
        less |= {"epochs": 1} if quick else {}
        return {
            "pretrained": RetinaNet(data=(data,), frozen=True, **less),
            "scratch": ScratchDetector(data=(data,), **less),
        }
    if max(dataset[0].annotation.size) <= 64:
        less |= {"longest": 96, "views": 4}
    return {"pretrained": Classifier(data=data, frozen=True, **less), "scratch": ScratchClassifier(data=data, **less)}


def measure(recipe: FewLabels, out: Path) -> dict[str, Any] | None:
    """Return the scores over all draws, None if there are not so many pictures."""
    try:
        train(recipe, out, resume=(out / "recipe.json").exists(), say=lambda line: None)
    except AnnotationError as error:
        print(f"left out: {error}", flush=True)
        return None
    return dict(json.loads((out / "resamples.json").read_text()))


def row(data: Path, count: int, options: argparse.Namespace) -> dict[str, Any] | None:
    """Train both arms with so many pictures and return what they scored, side by side."""
    made: dict[str, Any] = {"data": data.name, "pictures": str(count or "all"), "measure": "", "draws": 0}
    for arm, recipe in recipes(data, options.quick).items():
        recipe = replace(recipe, shots=count, resamples=2 if options.quick else options.resamples)
        found = measure(recipe, options.runs / data.name / arm / str(count))
        if found is None:
            return None
        name = made["measure"] = next(iter(found["mean"]))
        made["draws"] = len(found["scores"])
        made[arm] = found["mean"][name]
        made[f"{arm} ±"] = found["interval95"][name]
    return made


def main() -> None:
    """Print a row for every number of pictures as it comes, and write all as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/shots"))
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, help="0 is all")
    parser.add_argument("--resamples", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    options = parser.parse_args()
    if options.quick:
        options.counts, options.runs = (1, 5), options.runs.with_name(f"{options.runs.name}-quick")
    rows = [made for data in options.data for count in options.counts if (made := row(data, count, options))]
    report("shots", rows, options.json)


if __name__ == "__main__":
    main()
