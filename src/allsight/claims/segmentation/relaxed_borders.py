"""Careless labels: borders to learn from that are moved by 1, 2 and 4 pixels, judged by clean ones.

A pixel is one of the model's pictures, two of the label maps'. Each loss has its best learning rate under borders moved
by 2; see `allsight.claims.method.training.tuned`.
"""

from dataclasses import replace
from functools import partial

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import trained, tuned
from allsight.claims.segmentation.streets import LONGEST, MEAN_IOU, WHERE, segmenter
from allsight.recipes.segmentation.settings import LossName

WIDTH = 480  # pixels of the label maps' longer side
PIXELS = (1, 2, 4)
TUNED_AT = 2
LOSSES: dict[str, LossName] = {"relaxed": "relaxed", "cross-entropy": "cross_entropy"}


def name_of(loss: str, pixels: int) -> str:
    """Return what an arm is called in the record."""
    return f"{loss}, borders moved by {pixels}"


def mean_iou(run: Run, *, loss: str, pixels: int) -> float:
    """Train on moved borders; return the mean IoU with clean labels."""
    scale = WIDTH / LONGEST
    recipe = tuned(segmenter(run, loss=LOSSES[loss], jitter=TUNED_AT * scale), run, loss, score=MEAN_IOU)
    return trained(replace(recipe, jitter=pixels * scale), run, name_of(loss, pixels)).scores[MEAN_IOU]


CLAIM = Claim(
    sentence="Where labels are careless at borders, letting either class be right there segments better.",
    source="Zhu et al. 2019, section 3.3 and figure 5",
    published="better on Cityscapes however far labels were propagated, the more so the farther; no figure for noise",
    measure=f"mean IoU {WHERE}",
    arms={name_of(loss, pixels): partial(mean_iou, loss=loss, pixels=pixels) for pixels in PIXELS for loss in LOSSES},
    comparisons=[Comparison(*(name_of(loss, pixels) for loss in LOSSES)) for pixels in PIXELS],
)
