"""Regions that a model says, scored picture by picture: memory stays flat, however many there are."""

import zlib
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
import torch
from torch import Tensor

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AllsightError, ModelError, PictureError
from allsight.judge.evaluate import Evaluation
from allsight.judge.scores import Scores
from allsight.metrics.segmentation import BoundaryScores, RegionCounts, region_scores
from allsight.scene import Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE


class RegionTally:
    """Scores over the classes of the truth, added up picture by picture.

    Args:
        classes: of the truth; what is predicted under another name is wrong wherever the truth is known.
        boundaries: score them too, which takes 10 ms a picture.
    """

    def __init__(self, classes: Vocabulary, *, boundaries: bool = True) -> None:
        self.classes = classes
        self.counts = RegionCounts(len(classes))
        self.boundaries = BoundaryScores(len(classes)) if boundaries else None
        self._tables: dict[Vocabulary, Tensor] = {}

    def add(self, said: Scene, truth: Scene) -> float:
        """Count one picture, unless it is not annotated; return its own mean IoU, NaN if there is none."""
        if truth.regions is None:
            return float("nan")
        if said.regions is None or said.region_classes is None:
            raise ModelError(f"{said.source or 'a scene'}: the model says nothing of regions; choose another one")
        regions = self._table(said.region_classes)[said.regions]
        if self.boundaries is not None:
            self.boundaries.add(regions, truth.regions)
        return region_scores(self.counts.add(regions, truth.regions)).mean_iou

    def _table(self, classes: Vocabulary) -> Tensor:
        """Return the label of the truth for every predicted one, 255 for none."""
        if classes not in self._tables:
            table = torch.full((IGNORE + 1,), IGNORE)
            for label, name in enumerate(classes):
                if name in self.classes:
                    table[label] = self.classes.index(name)
            self._tables[classes] = table
        return self._tables[classes]

    def summary(self) -> dict[str, float]:
        """Return the figures of the whole, the deciding one first."""
        found = self.counts.scores()
        figures = {
            "mean IoU": found.mean_iou,
            "pixel accuracy": found.pixel_accuracy,
            "class accuracy": found.class_accuracy,
        }
        return figures if self.boundaries is None else figures | {"boundary F1": self.boundaries.mean()}

    def scores(self, quality: Sequence[float]) -> Scores:
        """Return all figures, given the mean IoU of every picture."""
        found, matrix = self.counts.scores(), self.counts.matrix.numpy()
        columns = {"IoU": found.iou.tolist(), "accuracy": found.accuracy.tolist()}
        if self.boundaries is not None:
            columns["boundary F1"] = self.boundaries.per_class().tolist()
        columns["pixels"] = matrix.sum(1).tolist()
        per_class = {
            name: {column: values[i] for column, values in columns.items()} for i, name in enumerate(self.classes)
        }
        square = np.concatenate([matrix, np.zeros((1, matrix.shape[1]), dtype=matrix.dtype)])
        names = (*self.classes, "other")
        return Scores("regions", self.summary(), per_class, square, names, np.array(quality, dtype=np.float64))


class KeptRegions(Sequence[Scene]):
    """Scenes that are kept packed: 5 kB for the regions of a picture of 480 x 360 in place of 1.4 MB."""

    def __init__(self) -> None:
        self._rows: list[tuple[Scene, bytes]] = []

    def append(self, scene: Scene) -> None:
        """Add a scene with regions."""
        assert scene.regions is not None
        packed = zlib.compress(scene.regions.to(torch.uint8).numpy().tobytes(), 1)
        self._rows.append((scene.with_(regions=None), packed))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...
    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        scene, packed = self._rows[index]
        pixels = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(scene.size)
        return scene.with_(regions=torch.from_numpy(pixels.astype(np.int64)))


def evaluate_regions(
    name: str, dataset: Dataset, answers: Iterable[tuple[Example, Scene | AllsightError]]
) -> tuple[Evaluation, Scores]:
    """Score what a model says of the regions in a data set.

    Args:
        name: the model's, for messages.
        dataset: with `region_classes`.
        answers: as `allsight.judge.evaluate.answers` gives them.

    Raises:
        PictureError: there is no picture, or none can be read. ModelError: the model knows none of the classes.
    """
    assert dataset.region_classes is not None
    tally = RegionTally(dataset.region_classes)
    examples: list[Example] = []
    quality: list[float] = []
    failed: list[str] = []
    truths, predictions = KeptRegions(), KeptRegions()
    for example, answer in answers:
        try:
            if isinstance(answer, AllsightError):
                raise answer
            truth = example.scene
        except AllsightError as error:
            failed.append(str(error))
            continue
        if truth.regions is None:
            continue
        if not examples:
            _compare(name, dataset, answer)
        quality.append(tally.add(answer, truth))
        examples.append(example)
        truths.append(truth)
        predictions.append(answer)
    if not examples:
        reason = failed[0] if failed else f"{dataset.name}: no pictures to evaluate; `allsight check` says why"
        raise PictureError(reason)
    return Evaluation(tuple(examples), truths, predictions, tuple(failed)), tally.scores(quality)


def _compare(name: str, dataset: Dataset, answer: Scene) -> None:
    wanted, known = dataset.region_classes, answer.region_classes
    if known is None or wanted is None:
        raise ModelError(
            f"{name}: says nothing of what is annotated in {dataset.name}; choose another model or data set"
        )
    if not any(each in known for each in wanted):
        raise ModelError(
            f"{name}: knows none of the regions in {dataset.name} ({wanted.summary(3)}); it knows {known.summary(3)}"
        )
