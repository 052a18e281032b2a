"""Tags of many Scenes as tables over one vocabulary."""

from collections.abc import Sequence

import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.metrics.calibration import Platt, Temperature, fit_platt, fit_temperature, logit
from allsight.metrics.columns import Flags, Floats
from allsight.scene import Scene, Vocabulary


def tag_classes(scene: Scene) -> Vocabulary:
    """Return the names of a scene's tags.

    Raises:
        AnnotationError: they have none.
    """
    if scene.tag_classes is None:
        raise AnnotationError(f"{scene.source or 'a scene'}: has tags without names; give the names of the classes")
    return scene.tag_classes


def aligned(scenes: Sequence[Scene], classes: Vocabulary, missing: float) -> Tensor:
    """Return all tags as (N, C) over `classes`; `missing` for classes that the scenes' own vocabulary lacks."""
    tags = torch.stack([scene.tags for scene in scenes if scene.tags is not None]).float()
    table = torch.full((len(scenes), len(classes)), missing)
    table[:, [classes.index(name) for name in tag_classes(scenes[0])]] = tags
    return table


def tag_answers(truths: Sequence[Scene], predictions: Sequence[Scene]) -> tuple[Tensor, Tensor] | None:
    """Return what a model says of its C classes, and what is true.

    Args:
        truths, predictions: one Scene a picture, in the same order. Pictures without tags, and those with a tag that
            the model does not know, are left out.

    Returns:
        (N, C) probabilities and (N, C) bool; None if no picture is left.
    """
    both = [(t, p) for t, p in zip(truths, predictions, strict=True) if t.tags is not None and p.tags is not None]
    if not both:
        return None
    true, said = [t for t, _ in both], [p for _, p in both]
    classes = tag_classes(said[0])
    truth = aligned(true, Vocabulary.union([classes, tag_classes(true[0])]), 0.0) > 0.5
    known = ~truth[:, len(classes) :].any(1)
    if not bool(known.any()):
        return None
    return aligned(said, classes, 0.0)[known], truth[known][:, : len(classes)]


def exclusive(probabilities: Tensor) -> bool:
    """Whether probabilities (N, C) are of one class of all each time, and so sum to 1, rather than of any number."""
    return bool(((probabilities.double().sum(1) - 1).abs() < 1e-3).all())


def sureness_of_tags(probabilities: Tensor, truth: Tensor) -> tuple[Floats, Flags]:
    """Return confidences and whether they were right: of the best class if classes are exclusive, else of every class.

    Args:
        probabilities: (N, C). truth: (N, C) bool.
    """
    if not exclusive(probabilities):
        return probabilities.double().flatten().numpy(), truth.flatten().numpy()
    best, label = probabilities.double().max(1)
    return best.numpy(), truth.gather(1, label[:, None])[:, 0].numpy()


def fit_tags(probabilities: Tensor, truth: Tensor) -> Temperature | Platt | None:
    """Return a temperature if classes are exclusive, else scale and shift for each class by itself.

    Args:
        probabilities: (N, C). truth: (N, C) bool.

    Returns:
        None where there is nothing to fit.
    """
    if exclusive(probabilities):
        one = truth.sum(1) == 1
        logits = probabilities[one].double().clamp_min(1e-12).log().numpy()
        return fit_temperature(logits, truth[one].long().argmax(1).numpy()) if len(logits) else None
    return fit_platt(logit(probabilities.double().flatten().numpy()), truth.flatten().numpy())
