"""What is scored of a model: the first of regions, objects and tags that it answers with and the data have."""

from collections.abc import Iterable, Iterator
from itertools import chain

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AllsightError
from allsight.judge.evaluate import Evaluation
from allsight.judge.region_scores import evaluate_regions
from allsight.judge.scores import Scores, scores
from allsight.predict.predictor import Predictor
from allsight.scene import Scene


def judge(
    predictor: Predictor, dataset: Dataset, answers: Iterable[tuple[Example, Scene | AllsightError]]
) -> tuple[Evaluation, Scores]:
    """Score what a model says of annotated pictures.

    Args:
        predictor: the model. dataset: the pictures.
        answers: as `allsight.judge.evaluate.answers` gives them.

    Raises:
        PictureError: there is no picture, or none can be read. ModelError: the model says nothing of what is annotated.
    """
    regions, answers = _says_regions(answers)
    if regions and dataset.region_classes is not None:
        return evaluate_regions(predictor.model.name, dataset, answers)
    evaluation = Evaluation.of(predictor, dataset, answers)
    return evaluation, scores(evaluation, predictor.shown)


def _says_regions(
    answers: Iterable[tuple[Example, Scene | AllsightError]],
) -> tuple[bool, Iterator[tuple[Example, Scene | AllsightError]]]:
    """Return whether the first answer has regions, and all answers."""
    rest, begun = iter(answers), []
    for pair in rest:
        begun.append(pair)
        if isinstance(pair[1], Scene):
            return pair[1].region_classes is not None, chain(begun, rest)
    return False, iter(begun)
