"""The sees-it-all model's recipe: all heads together and each by itself, judged by what it answers."""

from pathlib import Path

import pytest

from allsight import hub
from allsight.models.whole.everything import HEADS, HeadName
from allsight.recipes.run import train
from allsight.recipes.whole.still_lifes import StillLifes

SMALL = {"pictures": 4, "held_out": 2, "longest": 64, "epochs": 1, "batch_size": 2}


@pytest.mark.parametrize("heads", [HEADS, *((head,) for head in HEADS)])
def test_any_heads_train_and_are_judged(heads: tuple[HeadName, ...], tmp_path: Path) -> None:
    scores = train(StillLifes(heads, **SMALL), tmp_path / "run", say=lambda line: None)
    assert next(iter(scores)) == "mean"
    assert set(heads) <= set(scores)
    assert all(0 <= score <= 1 for score in scores.values())
    assert scores["mean"] == pytest.approx(sum(scores[head] for head in heads) / len(heads))
    assert set(hub.load(tmp_path / "run").system.heads) == set(heads)
