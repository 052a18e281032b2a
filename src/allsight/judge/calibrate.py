"""What a model knows of its limits, fitted on annotated pictures and judged on others."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AllsightError, AnnotationError, PictureError
from allsight.judge.evaluate import without_weak
from allsight.judge.tag_tables import fit_tags, sureness_of_tags, tag_answers
from allsight.knowing.familiarity import Familiarity, features_to_measure, stacked
from allsight.knowing.knowledge import Knowledge, Vectors, measure
from allsight.metrics.calibration import Platt, Temperature, fit_platt, halves, judged_detections, logit, reliability
from allsight.metrics.columns import Flags
from allsight.predict.order import in_order
from allsight.predict.predictor import Predictor
from allsight.scene import Scene

INSIDE = 0.95  # of the held-out pictures, and of the objects found in them, lie within the limit


@dataclass(frozen=True, eq=False)
class Look:
    """One picture: what is true, all that the model says, and what was measured at the objects of either."""

    example: Example
    said: Scene
    vectors: Vectors


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model's knowledge, and how well such knowledge does on pictures that it was not fitted on.

    Args:
        knowledge: fitted on all held-out pictures.
        looks: at the held-out pictures. judged: N Scenes, by what was fitted on the other half of them.
        figures: from `judged`: the expected calibration error before and after, the share of pictures marked, and the
            share of what is shown that is vouched for and that is wrong.
        failed: pictures that could not be read, a line each.
    """

    knowledge: Knowledge
    looks: tuple[Look, ...]
    judged: tuple[Scene, ...]
    figures: dict[str, float]
    failed: tuple[str, ...] = ()


def looks(
    predictor: Predictor, dataset: Iterable[Example], objects: Literal["true", "said"]
) -> Iterator[Look | AllsightError]:
    """Give what is needed of every picture, in order, or why it cannot be read.

    Args:
        predictor: the model, one that does not abstain.
        dataset: the pictures.
        objects: which boxes are measured: those of the annotation, or those that the model finds.
    """
    picture, box = features_to_measure(predictor.system)
    longest = predictor.model.pictures.longest

    def look(example: Example) -> Look | AllsightError:
        try:
            pixels = example.picture(longest=longest)
        except AllsightError as error:
            return error
        ready, frame = predictor.prepare(pixels, example.annotation.size)
        with torch.inference_mode():
            outputs = predictor.runtime(ready[None])
            (said,) = map(without_weak, predictor.system.decode(outputs, [frame]))
            features = outputs.features if picture or box else {}
            vectors = measure(example.annotation if objects == "true" else said, features, frame, picture, box)
        return Look(example, said, vectors)

    return in_order(look, dataset)


def calibrate(
    predictor: Predictor,
    train: Dataset,
    held_out: Dataset,
    progress: Callable[[Iterable[Look | AllsightError], int], Iterable[Look | AllsightError]] = lambda items, _: items,
) -> Calibration:
    """Fit what a model knows of its limits.

    Distances are fitted on the pictures that it learned from, and on the objects annotated there. Limits and the
    calibration of scores come from held-out pictures, on which scores are what they will be later.

    Args:
        predictor: the model, one that does not abstain, in torch.
        train: the pictures that it learned from. held_out: pictures that it did not learn from, at least two.
        progress: passes on so many looks; for a bar.

    Raises:
        PictureError: there are no two pictures that can be read. AnnotationError: what is annotated and what the
            model says have nothing in common.
    """
    seen, failed_first = _sorted(progress(looks(predictor, train, "true"), len(train)))
    held, failed = _sorted(progress(looks(predictor, held_out, "said"), len(held_out)))
    for name, some in ((train, seen), (held_out, held)):
        if len(some) < 2:
            where = "/".join(filter(None, (name.name, name.split)))
            raise PictureError(f"{where}: has {len(some)} pictures that can be read; calibration takes at least 2")
    learned = _learned(predictor, seen)
    fit = partial(_knowledge, predictor, *learned, "/".join(filter(None, (held_out.name, held_out.split))))
    half = halves(len(held))
    of_half = {side: fit([look for look, own in zip(held, half, strict=True) if own == side]) for side in (True, False)}
    judged = [of_half[not own].judge(look.said, look.vectors) for look, own in zip(held, half.tolist(), strict=True)]
    knowledge = fit(held)
    if not (knowledge.features or knowledge.scores or knowledge.tags):
        raise AnnotationError(f"{predictor.model.name}: nothing of it can be calibrated on {held_out.name}")
    figures = _figures(predictor, held, judged)
    return Calibration(knowledge, tuple(held), tuple(judged), figures, (*failed_first, *failed))


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures for a model's card: what could not be measured is left out."""
    return {name: round(value, 4) for name, value in figures.items() if np.isfinite(value)}


def _sorted(answers: Iterable[Look | AllsightError]) -> tuple[list[Look], list[str]]:
    """Part what could be seen from what could not."""
    seen, failed = [], []
    for answer in answers:
        if isinstance(answer, Look):
            seen.append(answer)
        else:
            failed.append(str(answer))
    return seen, failed


def _learned(predictor: Predictor, seen: Sequence[Look]) -> tuple[Familiarity | None, Familiarity | None]:
    """Return the distributions of pictures and of annotated objects, without limits."""
    picture, box = features_to_measure(predictor.system)
    pictures = Familiarity.fit(stacked([look.vectors.picture for look in seen]), picture) if picture else None
    objects = Familiarity.fit(stacked([look.vectors.objects for look in seen]), box) if box else None
    return pictures, objects


def _knowledge(
    predictor: Predictor,
    pictures: Familiarity | None,
    objects: Familiarity | None,
    data: str,
    held: Sequence[Look],
) -> Knowledge:
    """Return limits and calibrations from held-out pictures."""
    truths, said = [look.example.annotation for look in held], [look.said for look in held]
    scores: Platt | None = None
    tags: Temperature | Platt | None = None
    right = torch.zeros(0)
    if any(truth.boxes is not None for truth in truths) and any(scene.boxes is not None for scene in said):
        rows, hits = judged_detections(truths, said)
        scores = fit_platt(logit(rows.scores), hits)
        tables = [look.vectors.objects for look in held]
        places = zip(rows.pictures[hits].tolist(), rows.rows[hits].tolist(), strict=True)
        right = stacked([None if (table := tables[i]) is None else table[row] for i, row in places])
    if any(truth.tags is not None for truth in truths) and any(scene.tags is not None for scene in said):
        tags = None if (answers := tag_answers(truths, said)) is None else fit_tags(*answers)
    return Knowledge(
        pictures.limited(stacked([look.vectors.picture for look in held]), INSIDE) if pictures else None,
        objects.limited(right, INSIDE) if objects else None,
        scores,
        tags,
        data,
    )


def _figures(predictor: Predictor, held: Sequence[Look], judged: Sequence[Scene]) -> dict[str, float]:
    """Return what is told of a calibration; NaN where nothing can be measured."""
    truths, said = [look.example.annotation for look in held], [look.said for look in held]
    trusts = [scene.trust for scene in judged if scene.trust is not None]
    figures = {"pictures marked": float(np.mean([not trust.picture for trust in trusts]))}
    if all(any(scene.boxes is not None for scene in scenes) for scenes in (truths, said)):
        before, after = (judged_detections(truths, scenes) for scenes in (said, judged))
        figures["ECE"] = reliability(before[0].scores, before[1]).error
        figures["ECE calibrated"] = reliability(after[0].scores, after[1]).error
        shown = [seen.keep(predictor.sure(raw)) for raw, seen in zip(said, judged, strict=True)]
        rows, hits = judged_detections(truths, shown)
        flags = np.concatenate([scene.trust.known.numpy() for scene in shown if scene.trust is not None])
        starts = np.cumsum([0, *map(len, shown)])[:-1]
        known = flags[starts[rows.pictures] + rows.rows]
        figures |= {
            "wrong of what is shown": _share(~hits),
            "vouched for of that": _share(known),
            "wrong of what is vouched for": _share(~hits[known]),
        }
    else:
        for name, scenes in (("ECE", said), ("ECE calibrated", judged)):
            if (answers := tag_answers(truths, scenes)) is not None:
                figures[name] = reliability(*sureness_of_tags(*answers)).error
    return figures


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
