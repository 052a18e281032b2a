"""How a model that sees all at once is judged: boxes, masks, regions and the panoptic map, picture by picture."""

from dataclasses import dataclass, field

from allsight.data.pictures.dataset import Dataset, Example
from allsight.hub import Display, Model
from allsight.judge.evaluate import Evaluation, answers, truth_of
from allsight.metrics.coco import coco_scores, enough
from allsight.metrics.panoptic import PanopticCounts
from allsight.metrics.segmentation import RegionCounts
from allsight.metrics.sure_pixels import SurePixels
from allsight.models.system import System
from allsight.predict import Predictor
from allsight.recipes.common.supervision import Supervision
from allsight.recipes.detection.measure import LEAST_HITS, Measure, object_scores, shown_from
from allsight.recipes.detection.settings import ObjectSettings
from allsight.scene import Scene, Vocabulary

# Of the pixels that are tinted; more than of objects, because a region is large, and an error in it is seen at once.
SURE_PRECISION = 0.85
LEAST_PROBABILITY = 0.5


@dataclass
class Tally:
    """The answers of a model on held-out pictures, beside the truth: instances as they are, maps added up.

    Args:
        classes: of regions.
    """

    classes: Vocabulary
    examples: list[Example] = field(default_factory=list)
    truths: list[Scene] = field(default_factory=list)
    predictions: list[Scene] = field(default_factory=list)
    panoptic: PanopticCounts = field(default_factory=PanopticCounts)

    def __post_init__(self) -> None:
        self.regions, self.sure = RegionCounts(len(self.classes)), SurePixels(len(self.classes))

    def add(self, example: Example, answer: Scene) -> None:
        """Count one picture; what of it is not annotated, or not answered, counts for nothing."""
        truth = truth_of(example, answer)
        if answer.regions is not None and example.label_map is not None:
            assert answer.region_scores is not None
            whole = truth.with_(**example.label_map.fields(truth.size))
            assert whole.regions is not None
            self.regions.add(answer.regions, whole.regions)
            self.sure.add(answer.regions, answer.region_scores, whole.regions)
            if answer.panoptic is not None:
                self.panoptic.add(whole, answer)
        self.examples.append(example)
        self.truths.append(truth)
        self.predictions.append(answer.with_(regions=None, region_scores=None, panoptic=None, segments=None))

    @property
    def evaluation(self) -> Evaluation:
        """The instances."""
        return Evaluation(tuple(self.examples), self.truths, self.predictions)

    def scores(self) -> dict[str, float]:
        """Return COCO's AP50 of boxes (the deciding one), AP, AP75, those of masks, mean IoU and panoptic quality."""
        scores = object_scores(self.evaluation)
        if all(p.masks is not None for p in self.predictions) and any(t.masks is not None for t in self.truths):
            masks = coco_scores(self.truths, self.predictions, kind="masks", most=enough(self.truths))
            scores |= {"mask AP50": masks.ap50, "mask AP": masks.ap}
        if self.regions.matrix.any():
            regions = self.regions.scores()
            scores |= {"mean IoU": regions.mean_iou, "pixel accuracy": regions.pixel_accuracy}
        if self.panoptic.names:
            scores["PQ"] = self.panoptic.scores().pq
        return scores

    def describe(self, model: Model) -> None:
        """Tell a model from which score on each class is displayed, of objects and of regions."""
        regions: dict[str, float] = {}
        if self.regions.matrix.any():
            sure = self.sure.thresholds(SURE_PRECISION, LEAST_HITS)
            regions = {name: max(least, LEAST_PROBABILITY) for name, least in zip(self.classes, sure, strict=True)}
        model.display = Display(shown_from(self.evaluation), regions)


def everything_measure(settings: ObjectSettings, model: Model, learned: Supervision, val: Dataset) -> Measure:
    """Return the measure of `Tally`; the model is asked as a whole, with the heads that do not learn."""
    last: list[Tally] = []

    def tally() -> Tally:
        counts = Tally(val.region_classes or Vocabulary(()))
        for example, answer in answers(Predictor(model, precision="float32"), val):
            if isinstance(answer, Scene):
                counts.add(example, answer)
        return counts

    def scores(learner: System) -> dict[str, float]:
        last[:] = [tally()]
        return last[0].scores()

    def finish(model: Model) -> None:
        once = settings.few and last  # judged at the end alone, and so with the weights that were kept
        (last[0] if once else tally()).describe(model)

    return Measure(scores, finish)
