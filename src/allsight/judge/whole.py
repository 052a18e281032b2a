"""What a model that answers with objects and regions is scored by: both, and the panoptic map, picture by picture."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AllsightError
from allsight.judge.evaluate import Evaluation
from allsight.judge.region_scores import RegionTally
from allsight.judge.scores import Scores, object_scores
from allsight.metrics.panoptic import PanopticCounts
from allsight.metrics.sure_pixels import SurePixels
from allsight.predict.predictor import Predictor
from allsight.scene import Scene, Vocabulary


class MapTally:
    """Regions and panoptic maps beside the truth, added up picture by picture: memory stays flat.

    Args:
        classes: of the regions of the truth.

    Attributes:
        regions: counts by class. sure: by class and probability. panoptic: segments.
    """

    def __init__(self, classes: Vocabulary) -> None:
        self.regions = RegionTally(classes, boundaries=False)
        self.sure = SurePixels(len(classes))
        self.panoptic = PanopticCounts()

    def add(self, example: Example, answer: Scene) -> None:
        """Count one picture; what of it is not annotated, or not answered, counts for nothing.

        Raises:
            AnnotationError: the annotation of the picture cannot be read.
        """
        if answer.regions is None:
            return
        truth = example.annotation
        if example.label_map is not None:
            truth = truth.with_(**example.label_map.fields(truth.size))
        if truth.regions is None:
            return
        self.regions.add(answer, truth)
        if answer.region_scores is not None:
            self.sure.add(self.regions.in_its_terms(answer), answer.region_scores, truth.regions)
        if answer.panoptic is not None and truth.panoptic is not None:
            self.panoptic.add(truth, answer)

    @property
    def empty(self) -> bool:
        """Whether nothing was annotated."""
        return not self.regions.counts.matrix.any()

    def summary(self) -> dict[str, float]:
        """Return mean IoU, pixel accuracy and panoptic quality, as far as something was annotated."""
        every = {} if self.empty else self.regions.summary()
        figures = {name: every[name] for name in ("mean IoU", "pixel accuracy") if name in every}
        return figures | ({"PQ": self.panoptic.scores().pq} if self.panoptic.names else {})


class Whole(NamedTuple):
    """What a model says of all that is annotated: the instances, picture by picture, and its maps added up."""

    evaluation: Evaluation
    maps: MapTally


def look_at_all(
    predictor: Predictor, dataset: Dataset, answers: Iterable[tuple[Example, Scene | AllsightError]]
) -> Whole:
    """Collect what a model says of a data set with objects and regions; maps are counted and forgotten.

    Args:
        predictor: the model. dataset: the pictures.
        answers: as `allsight.judge.evaluate.answers` gives them.

    Raises:
        PictureError: there is no picture, or none can be read. ModelError: the model knows none of the objects.
    """
    maps = MapTally(dataset.region_classes or Vocabulary(()))

    def instances() -> Iterator[tuple[Example, Scene | AllsightError]]:
        for example, answer in answers:
            if isinstance(answer, Scene):
                try:
                    maps.add(example, answer)
                    answer = answer.with_(regions=None, region_scores=None, panoptic=None, segments=None)
                except AllsightError as error:
                    answer = error
            yield example, answer

    return Whole(Evaluation.of(predictor, dataset, instances()), maps)


def evaluate_whole(
    predictor: Predictor, dataset: Dataset, answers: Iterable[tuple[Example, Scene | AllsightError]]
) -> tuple[Evaluation, Scores]:
    """Score objects, regions and the panoptic map at once; classes and confusions are those of objects.

    For arguments and errors see `look_at_all`.
    """
    evaluation, maps = look_at_all(predictor, dataset, answers)
    found = object_scores(evaluation, predictor.shown)
    return evaluation, replace(found, summary=found.summary | maps.summary())
