"""Does a model know what it does not know? `cells` and `everyday` on pictures of their own kind and on the other's.

    python benchmarks/abstain.py ../shared/data --json benchmarks/results/abstain.json

Distances are learned on the train split; limits and the calibration of scores are fitted on one half of the held-out
pictures and judged on the other. The foreign pictures are the held-out ones of the other model, and cell nuclei under
the microscope. Risk is the share of wrong objects among those that are shown; on foreign pictures all are wrong.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from allsight.data.formats.catalogue import open_dataset
from allsight.data.pictures.dataset import Example
from allsight.data.pictures.reading import find_pictures, picture_size
from allsight.files import write_json
from allsight.hub import load
from allsight.judge.calibrate import Calibration, Look, calibrate, looks
from allsight.metrics.calibration import judged_detections
from allsight.metrics.selective import RiskCurve, auroc, risk_curve
from allsight.predict import Predictor
from allsight.scene import Scene
from machine import machine

ARMS = {"cells": ("bccd", "coco256"), "everyday": ("coco256", "bccd")}
COVERAGES = (1.0, 0.8, 0.5)


class Shown(NamedTuple):
    """The objects that are shown: (N,) calibrated scores, whether the model vouches for each, whether it is wrong."""

    scores: np.ndarray
    known: np.ndarray
    wrong: np.ndarray

    def curve(self, *, abstain: bool) -> RiskCurve:
        """Return risk against coverage, the surest first; if `abstain`, what is not vouched for comes last."""
        return risk_curve(self.scores + self.known if abstain else self.scores, self.wrong)


def shown(predictor: Predictor, seen: Sequence[Look], judged: Sequence[Scene], *, foreign: bool) -> Shown:
    """Return what is shown of pictures whose objects are annotated, or of foreign ones, where nothing can be right."""
    scenes = [scene.keep(predictor.sure(look.said)) for look, scene in zip(seen, judged, strict=True)]
    trusts = [scene.trust.known.numpy() for scene in scenes if scene.trust is not None]
    known, scores = np.concatenate(trusts), np.concatenate([s.scores.numpy() for s in scenes if s.scores is not None])
    if foreign:
        return Shown(scores, known, np.ones(len(scores), dtype=bool))
    rows, hits = judged_detections([look.example.annotation for look in seen], scenes)
    place = np.cumsum([0, *map(len, scenes)])[rows.pictures] + rows.rows
    return Shown(scores[place], known[place], ~hits)


def strangers(predictor: Predictor, found: Calibration, pictures: Sequence[Example]) -> tuple[list[Look], list[Scene]]:
    """Return looks at foreign pictures, and what the model makes of them."""
    seen = [look for look in looks(predictor, pictures, "said") if isinstance(look, Look)]
    return seen, [found.knowledge.judge(look.said, look.vectors) for look in seen]


def distances(judged: Sequence[Scene]) -> np.ndarray:
    """Return (N,) distances of whole pictures."""
    return np.array([scene.trust.distance for scene in judged if scene.trust is not None])


def measures(name: str, data: Path) -> dict[str, Any]:
    """Return all figures of one model by name."""
    own, other = ARMS[name]
    predictor = Predictor(load(name))
    held_out = open_dataset(data / own, "val")
    found = calibrate(predictor, open_dataset(data / own, "train"), held_out)
    familiar = distances(found.judged)
    table: dict[str, Any] = {
        "own held-out pictures": f"{len(found.looks)} of {own}",
        "own pictures marked": float((familiar > 1).mean()),
    }
    nuclei = [Example(path, Scene(picture_size(path))) for path in find_pictures([data / "nuclei" / "images"])]
    foreign = {other: list(open_dataset(data / other, "val")), "nuclei": nuclei}
    pooled = shown(predictor, found.looks, found.judged, foreign=False)
    together = pooled
    for kind, pictures in foreign.items():
        seen, judged = strangers(predictor, found, pictures)
        away = distances(judged)
        side = "the other's" if kind == other else kind
        table |= {
            f"foreign pictures, {side}": f"{len(away)} of {kind}",
            f"AUROC, {side} against own": auroc(familiar, away),
            f"marked of {side}": float((away > 1).mean()),
        }
        if kind == other:
            added = shown(predictor, seen, judged, foreign=True)
            together = Shown(*(np.concatenate(both) for both in zip(pooled, added, strict=True)))
    table |= {"ECE as scored": found.figures["ECE"], "ECE calibrated": found.figures["ECE calibrated"]}
    table |= risks("own pictures", pooled) | risks("own and the other's", together)
    return table


def risks(name: str, some: Shown) -> dict[str, Any]:
    """Return what is shown, what is vouched for, and the risk at a few coverages."""
    by_score, by_trust = some.curve(abstain=False), some.curve(abstain=True)
    kept = some.wrong[some.known]
    return {
        f"{name}: objects shown": len(some.wrong),
        f"{name}: vouched for": float(some.known.mean()),
        f"{name}: risk of what is vouched for": float(kept.mean()) if len(kept) else float("nan"),
        **{f"{name}: risk at {c:.0%} coverage, by score": by_score.at(c) for c in COVERAGES},
        **{f"{name}: risk at {c:.0%} coverage, vouched for first": by_trust.at(c) for c in COVERAGES[1:]},
        f"{name}: area under risk, by score": by_score.area,
        f"{name}: area under risk, vouched for first": by_trust.area,
    }


def main() -> None:
    """Print a row a measure, a column a model, and write all as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder with bccd, coco256 and nuclei")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    columns = {name: measures(name, options.data) for name in ARMS}
    rows = [
        {"measure": measure, **{name: column[measure] for name, column in columns.items()}}
        for measure in next(iter(columns.values()))
    ]
    for row in rows:
        told = (f"{v:.3f}" if isinstance(v, float) else str(v) for k, v in row.items() if k != "measure")
        print(f"{row['measure']:<62}" + "".join(f"{text:>18}" for text in told))
    if options.json:
        write_json(options.json, {"benchmark": "abstain", "machine": machine(), "rows": rows})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
