"""Arms are tuned once, by trainings of their own, and compared with the rate that was best."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from allsight.claims.method import training
from allsight.claims.method.claim import Run


@dataclass(frozen=True)
class Made:
    learning_rate: float = 1.0
    epochs: int = 8
    seed: int = 0


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Made, str]]:
    """Stand in for trainings: the nearer the rate to 0.01, the better."""
    made: list[tuple[Made, str]] = []

    def train(recipe: Made, out: Path, **options: Any) -> dict[str, float]:
        made.append((recipe, out.name))
        return {"other": recipe.learning_rate, "score": -abs(recipe.learning_rate - 0.01)}

    monkeypatch.setattr(training, "train", train)
    return made


def test_the_best_rate_is_found_once_for_all_seeds(trainings: list[tuple[Made, str]], tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        run = Run(tmp_path, seed, False, tmp_path)
        assert training.tuned(Made(), run, "an arm", score="score") == replace(Made(), learning_rate=0.01)
    assert [made for made, _ in trainings] == [Made(rate, 4, training.TUNING_SEED) for rate in (0.003, 0.01, 0.03)]
    assert trainings[0][1] == "an-arm-at-0.003-7"
    assert training.TUNING_SEED not in (0, 1, 2)


def test_another_score_decides_otherwise_and_the_quick_form_tries_nothing(
    trainings: list[tuple[Made, str]], tmp_path: Path
) -> None:
    run = Run(tmp_path, 0, False, tmp_path)
    assert training.tuned(Made(), run, "arm", score="other").learning_rate == 0.03
    count = len(trainings)
    assert training.tuned(Made(), replace(run, quick=True), "arm", score="other", rates=(3, 1, 2)).learning_rate == 2
    assert len(trainings) == count
