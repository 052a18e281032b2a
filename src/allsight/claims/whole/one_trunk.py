"""One trunk for everything against a model for each thing: how much of a single model's score each head keeps.

All models learn from the same made scenes, as many steps, at the recipe's learning rate. What one pass saves in time
and memory is measured by benchmarks/one_trunk.py.
"""

from functools import cache, partial
from typing import Any

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import trained
from allsight.models.whole.everything import HEADS, HeadName
from allsight.recipes.whole.still_lifes import StillLifes

KEPT = 0.95
LONGEST = 128
SIZE: dict[str, Any] = {"longest": LONGEST, "pictures": 800, "epochs": 10}
QUICK: dict[str, Any] = {"longest": 64, "pictures": 64, "held_out": 16, "epochs": 2}


@cache
def scores(run: Run, heads: tuple[HeadName, ...]) -> dict[str, float]:
    """Train a model of some heads; return the score of each. One training gives those of all joint arms."""
    return trained(StillLifes(heads, **(QUICK if run.quick else SIZE)), run, " ".join(heads)).scores


def score(run: Run, *, head: HeadName, joint: bool) -> float:
    """Return the score of a head, in the joint model or by itself."""
    return scores(run, HEADS if joint else (head,))[head]


CLAIM = Claim(
    sentence="With all heads on one trunk each keeps at least 95% of the score of a model of its own.",
    source="Kokkinos 2017 (UberNet), abstract",
    published="seven tasks in one net, competitive in all of them; no figure of ours to compare",
    measure=f"each head's own score on made still lifes of {LONGEST} pixels: mean average precision of tags, AP50 of "
    "masks, mean IoU of regions, share of depths within 1.25 and of normals within 11.25 degrees",
    arms={
        f"{how}, {head}": partial(score, head=head, joint=how == "one trunk")
        for head in HEADS
        for how in ("one trunk", "single model")
    },
    comparisons=[Comparison(f"one trunk, {head}", f"single model, {head}", share=KEPT) for head in HEADS],
)
