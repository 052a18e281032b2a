"""Objects, regions and panoptic map of one model at once: the figures are those of each kind by itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import CLASSES, tiny_detector

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AnnotationError, ModelError
from allsight.judge.whole import MapTally, look_at_all
from allsight.metrics.panoptic import panoptic_scores
from allsight.metrics.segmentation import RegionCounts
from allsight.predict import Predictor
from allsight.scene import Scene, Vocabulary

SIZE = (20, 30)
TRUE, SAID = Vocabulary(("sky", "sea", "sand")), Vocabulary(("sand", "glass", "sky", "sea"))


class Map:
    """A dense map that is decoded when it is asked for."""

    def __init__(self, regions: torch.Tensor) -> None:
        self.regions = regions

    def fields(self, size: tuple[int, int]) -> dict:
        segments = tuple({"id": i + 1, "label": i, "thing": False} for i in self.regions.unique().tolist() if i < 255)
        return {"regions": self.regions, "panoptic": (self.regions + 1) * (self.regions < 255), "segments": segments}


def made(seed: int) -> tuple[Example, Scene]:
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 3, (2, 4, 5), generator=random)
    truth = coarse[0].repeat_interleave(5, 0).repeat_interleave(6, 1)
    truth[:2] = 255
    own = torch.where(torch.rand(4, 5, generator=random) < 0.6, coarse[0], coarse[1])
    own = own.repeat_interleave(5, 0).repeat_interleave(6, 1)
    said = torch.tensor([SAID.index(name) for name in TRUE])[own]
    said[-1] = SAID.index("glass")
    segments = tuple({"id": i + 1, "label": i, "thing": False} for i in said.unique().tolist())
    answer = Scene(
        SIZE,
        regions=said,
        region_scores=torch.full(SIZE, 0.7),
        region_classes=SAID,
        panoptic=said + 1,
        segments=segments,
    )
    return Example(Path(f"{seed}.png"), Scene(SIZE, region_classes=TRUE), label_map=Map(truth)), answer


def test_maps_are_counted_as_each_kind_is_by_itself() -> None:
    pairs = [made(seed) for seed in range(6)]
    tally, counts = MapTally(TRUE), RegionCounts(3)
    for example, answer in pairs:
        tally.add(example, answer)
        names = [SAID[label] for label in answer.regions.flatten().tolist()]
        renamed = torch.tensor([TRUE.index(name) if name in TRUE else 255 for name in names]).view(SIZE)
        counts.add(renamed, example.label_map.regions)
    expected = counts.scores()
    truths = [e.annotation.with_(**e.label_map.fields(SIZE)) for e, _ in pairs]
    quality = panoptic_scores(truths, [answer for _, answer in pairs]).pq
    figures = {"mean IoU": expected.mean_iou, "pixel accuracy": expected.pixel_accuracy, "PQ": quality}
    assert tally.summary() == pytest.approx(figures)
    table = torch.tensor([TRUE.index(name) if name in TRUE else 99 for name in SAID])
    right = sum(int((table[answer.regions] == e.label_map.regions).sum()) for e, answer in pairs)
    assert tally.sure.right.sum() == right


def test_what_is_not_annotated_or_not_said_counts_for_nothing() -> None:
    example, answer = made(0)
    tally = MapTally(TRUE)
    tally.add(Example(Path("a.png"), Scene(SIZE)), answer)
    tally.add(example, Scene(SIZE))
    assert tally.empty
    assert tally.summary() == {}


def test_a_picture_whose_map_cannot_be_read_is_named_and_left_out() -> None:
    class Broken:
        def fields(self, size: tuple[int, int]) -> dict:
            raise AnnotationError("map.png: is damaged")

    names = Vocabulary(CLASSES)
    scene = Scene(SIZE, boxes=torch.tensor([[1.0, 1, 9, 9]]), labels=torch.tensor([0]), object_classes=names)
    examples = [Example(Path(f"{i}.png"), scene.with_(region_classes=TRUE)) for i in range(2)]
    examples[1] = Example(Path("1.png"), examples[1].annotation, label_map=Broken())
    said = scene.with_(scores=torch.tensor([0.9]), regions=torch.zeros(SIZE, dtype=torch.int64), region_classes=SAID)
    data = Dataset(tuple(examples), object_classes=names, region_classes=TRUE, name="both")
    evaluation, maps = look_at_all(Predictor(tiny_detector()), data, [(e, said) for e in examples])
    assert len(evaluation) == 1
    assert evaluation.failed == ("map.png: is damaged",)
    assert evaluation.predictions[0].regions is None
    assert np.all(maps.sure.right == 0)
    strange = said.with_(object_classes=Vocabulary(tuple(f"x{i}" for i in range(len(names)))))
    with pytest.raises(ModelError, match="knows none of the objects"):
        look_at_all(Predictor(tiny_detector()), data, [(examples[0], strange)])
