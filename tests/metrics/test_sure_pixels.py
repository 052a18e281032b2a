"""Thresholds of regions, by hand and against a slow search."""

import numpy as np
import torch

from allsight.metrics.detection import NEVER
from allsight.metrics.sure_pixels import BINS, LEAST_SHARE, SurePixels


def test_the_threshold_leaves_enough_right_pixels() -> None:
    sure = SurePixels(2)
    truth = torch.tensor([[0, 0, 1, 1, 255]])
    # Class 0 is right at 0.9 and 0.6 and wrong at 0.7 and 0.3; what is not annotated is not judged.
    sure.add(torch.tensor([[0, 0, 0, 0, 0]]), torch.tensor([[0.9, 0.6, 0.7, 0.3, 0.95]]), truth)
    assert sure.thresholds(0.66, 1) == [0.305, NEVER]  # two of three right, just above 0.3
    assert sure.thresholds(0.7, 1) == [0.705, NEVER]  # one of one; 0.7 itself is one bin lower
    assert sure.thresholds(0.5, 2) == [NEVER, NEVER]  # one picture is not enough


def test_thresholds_are_those_of_a_slow_search() -> None:
    numbers = np.random.default_rng(3)
    sure, pictures = SurePixels(3), []
    for _ in range(6):
        truth = torch.from_numpy(numbers.integers(0, 3, (20, 30)))
        truth[:2] = 255
        scores = torch.from_numpy(numbers.integers(0, BINS, (20, 30)) / BINS + 1e-3).float()
        right = torch.from_numpy(numbers.random((20, 30))) < scores
        said = torch.where(right & (truth < 255), truth, torch.from_numpy(numbers.integers(0, 3, (20, 30))))
        pictures.append((said, scores, truth))
        sure.add(said, scores, truth)

    def slow(label: int, precision: float, least: int) -> float:
        for step in range(BINS):
            hits = [int(((p == label) & (t == label) & (s >= step / BINS)).sum()) for p, s, t in pictures]
            shown = sum(int(((p == label) & (t != 255) & (s >= step / BINS)).sum()) for p, s, t in pictures)
            found = sum(hit >= LEAST_SHARE * 600 and hit > 0 for hit in hits)
            if shown and sum(hits) >= precision * shown and found >= least:
                return step / BINS
        return NEVER

    for precision, least in ((0.5, 1), (0.7, 3), (0.8, 6), (0.99, 3)):
        assert sure.thresholds(precision, least) == [slow(label, precision, least) for label in range(3)]
