"""Hold the trunk still or train it too: what pays with few labels and what with many.

Each arm has its best learning rate for each number of pictures; see `allsight.claims.method.training.tuned`. The trunk
learns, where it does, with a tenth of it.
"""

from functools import partial
from typing import Any

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import FULL, QUICK, trained, tuned
from allsight.recipes.detection.retinanet import RetinaNet

ALL = 0
COUNTS = (2, 10, 50, ALL)
FEW, MANY = f"{COUNTS[0]} pictures", "all pictures"


def pictures(count: int) -> str:
    """Return how arms are called."""
    return f"{count} pictures" if count else MANY


def average_precision(run: Run, *, count: int, frozen: bool) -> float:
    """Train the narrow RetinaNet on so many pictures, the trunk held still or not; return COCO's AP.

    Both go as often through the pictures, by as many steps of as many pictures, and make at least 100 of them.
    """
    size: dict[str, Any] = {**QUICK, "steps": 20} if run.quick else FULL
    alike: dict[str, Any] = {"batch_size": RetinaNet.frozen_batch, "scale": RetinaNet.frozen_scale}
    recipe = RetinaNet((run.data / "bccd",), frozen=frozen, shots=count, **alike, **size)
    arm = f"{'frozen' if frozen else 'fine-tuned'} {pictures(count)}"
    setting = "frozen_rate" if frozen else "learning_rate"
    return trained(tuned(recipe, run, arm, score="AP", setting=setting), run, arm).scores["AP"]


CLAIM = Claim(
    sentence="With few labels a frozen trunk is better, with many it pays to fine-tune it.",
    source="Yosinski et al. 2014, section 1; Girshick et al. 2014, section 3.2, for detection",
    published="R-CNN on VOC 2007: mAP 44.7 with a frozen trunk (fc7), 54.2 with a fine-tuned one, on all pictures",
    measure="AP on bccd val, pictures of 256 pixels",
    arms={
        f"{how}, {pictures(count)}": partial(average_precision, count=count, frozen=how == "frozen")
        for count in COUNTS
        for how in ("frozen", "fine-tuned")
    },
    comparisons=[
        Comparison(f"frozen, {FEW}", f"fine-tuned, {FEW}"),
        Comparison(f"fine-tuned, {MANY}", f"frozen, {MANY}"),
    ],
)
