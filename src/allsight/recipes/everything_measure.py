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
from allsight.recipes.objects import LEAST_HITS, Measure, object_scores, shown_from
from allsight.recipes.parts import Parts
from allsight.recipes.settings import ObjectSettings
from allsight.scene import Scene, Vocabulary

# Of the pixels that are tinted; more than of objects, because a region is large, and an error in it is seen at once.
SURE_PRECISION = 0.85
LEAST_PROBABILITY = 0.5


@dataclass
class Judged:
    """What a model says of held-out pictures, beside the truth: instances as they are, maps added up.

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

    def add(self, example: Example, said: Scene) -> None:
        """Count one picture; what of it is not annotated, or not answered, counts for nothing."""
        truth = truth_of(example, said)
        if said.regions is not None and example.label_map is not None:
            assert said.region_scores is not None
            whole = truth.with_(**example.label_map.fields(truth.size))
            assert whole.regions is not None
            self.regions.add(said.regions, whole.regions)
            self.sure.add(said.regions, said.region_scores, whole.regions)
            if said.panoptic is not None:
                self.panoptic.add(whole, said)
        self.examples.append(example)
        self.truths.append(truth)
        self.predictions.append(said.with_(regions=None, region_scores=None, panoptic=None, segments=None))

    @property
    def evaluation(self) -> Evaluation:
        """The instances."""
        return Evaluation(tuple(self.examples), self.truths, self.predictions)

    def scores(self) -> dict[str, float]:
        """Return COCO's AP50 of boxes (the deciding one), AP, AP75, those of masks, mean IoU and panoptic quality."""
        found = object_scores(self.evaluation)
        if all(said.masks is not None for said in self.predictions) and any(t.masks is not None for t in self.truths):
            masks = coco_scores(self.truths, self.predictions, kind="masks", most=enough(self.truths))
            found |= {"mask AP50": masks.ap50, "mask AP": masks.ap}
        if self.regions.matrix.any():
            regions = self.regions.scores()
            found |= {"mean IoU": regions.mean_iou, "pixel accuracy": regions.pixel_accuracy}
        if self.panoptic.names:
            found["PQ"] = self.panoptic.scores().pq
        return found

    def describe(self, model: Model) -> None:
        """Tell a model from which score on each class is displayed, of objects and of regions."""
        regions: dict[str, float] = {}
        if self.regions.matrix.any():
            sure = self.sure.thresholds(SURE_PRECISION, LEAST_HITS)
            regions = {name: max(least, LEAST_PROBABILITY) for name, least in zip(self.classes, sure, strict=True)}
        model.display = Display(shown_from(self.evaluation), regions)


def everything_measure(recipe: ObjectSettings, model: Model, parts: Parts, val: Dataset) -> Measure:
    """Return the measure of `Judged`; the model is asked as a whole, with the heads that do not learn."""
    said: list[Judged] = []  # what was judged last

    def judge() -> Judged:
        judged = Judged(val.region_classes or Vocabulary(()))
        for example, answer in answers(Predictor(model, precision="float32"), val):
            if isinstance(answer, Scene):
                judged.add(example, answer)
        return judged

    def scores(learner: System) -> dict[str, float]:
        said[:] = [judge()]
        return said[0].scores()

    def finish(model: Model) -> None:
        once = recipe.few and said  # judged at the end alone, and so with the weights that were kept
        (said[0] if once else judge()).describe(model)

    return Measure(scores, finish)
