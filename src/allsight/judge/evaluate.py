"""What a model says of a data set, beside the truth."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.outlines import draw_outlines
from allsight.errors import AllsightError, ModelError, PictureError
from allsight.predict.order import in_order
from allsight.predict.predictor import Predictor
from allsight.scene import Scene


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Truth and prediction, picture by picture.

    Args:
        examples: the N pictures that could be read, in the order of the data set.
        truths, predictions: N Scenes each; predictions are raw, of whatever score, without boxes that come from tags.
        failed: pictures that could not be read, one line each; they are in no score.
    """

    examples: tuple[Example, ...]
    truths: Sequence[Scene]
    predictions: Sequence[Scene]
    failed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.truths)

    @classmethod
    def of(
        cls, predictor: Predictor, dataset: Dataset, answers: Iterable[tuple[Example, Scene | AllsightError]]
    ) -> "Evaluation":
        """Collect what `answers` gives, as a caller who counts them on the way needs; see `evaluate`."""
        said: list[tuple[Example, Scene]] = []
        failed = []
        for example, answer in answers:
            if isinstance(answer, AllsightError):
                failed.append(str(answer))
                continue
            if not said:
                _compare(predictor, dataset, answer)
            said.append((example, answer))
        if not said:
            reason = failed[0] if failed else f"{dataset.name}: no pictures to evaluate; `allsight check` says why"
            raise PictureError(reason)
        examples, predictions = zip(*said, strict=True)
        truths = tuple(truth_of(example, scene) for example, scene in said)
        return cls(examples, truths, predictions, tuple(failed))


def evaluate(predictor: Predictor, dataset: Dataset) -> Evaluation:
    """Ask a model about every picture of a data set.

    Args:
        predictor: the model.
        dataset: annotated pictures.

    Raises:
        PictureError: there is no picture, or none can be read.
        ModelError: the model and the data set have no class in common.
    """
    return Evaluation.of(predictor, dataset, answers(predictor, dataset))


def answers(predictor: Predictor, dataset: Dataset) -> Iterator[tuple[Example, Scene | AllsightError]]:
    """Give every example with all that the model says of it, or why its picture cannot be read."""
    return in_order(partial(_answer, predictor, predictor.model.pictures.longest), dataset)


def _answer(predictor: Predictor, longest: int, example: Example) -> tuple[Example, Scene | AllsightError]:
    try:
        picture = example.picture(longest=longest)
        scene = predictor.scene_of(*predictor.prepare(picture, example.annotation.size))
    except AllsightError as error:
        return example, error
    return example, without_weak(scene).with_(source=str(example.path))


def truth_of(example: Example, said: Scene) -> Scene:
    """Return the annotation that a prediction is compared with: with masks drawn only where masks are predicted.

    Raises:
        AnnotationError: an outline cannot be drawn.
    """
    truth = example.annotation
    if said.masks is None or example.outlines is None:
        return truth
    return truth.with_(masks=draw_outlines(example.outlines, truth.size))


def without_weak(scene: Scene) -> Scene:
    """Return a scene without boxes that were located without box labels: no score of boxes should depend on them.

    Masks that came with them go too, where other objects have none.
    """
    if scene.weak is None:
        return scene
    strong = scene.keep(~scene.weak).with_(weak=None)
    outlined = strong.masks is not None and (not len(strong) or bool(strong.masks.bits.any()))
    return strong if outlined else strong.with_(masks=None)


def _compare(predictor: Predictor, dataset: Dataset, answer: Scene) -> None:
    """Refuse to score a model on things that it has never heard of."""
    name = predictor.model.name
    for what, wanted, known in (
        ("objects", dataset.object_classes, answer.object_classes),
        ("tags", dataset.tag_classes, answer.tag_classes),
    ):
        if wanted is not None and known is not None and any(each in known for each in wanted):
            return
        if wanted is not None and known is not None:
            raise ModelError(
                f"{name}: knows none of the {what} in {dataset.name} ({wanted.summary(3)}); it knows {known.summary(3)}"
            )
    raise ModelError(f"{name}: says nothing of what is annotated in {dataset.name}; choose another model or data set")
