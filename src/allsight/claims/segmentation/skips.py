"""What finer maps add to coarse ones: the skips of FCN, where scores are summed, and of U-Net, where maps are joined.

Every arm has the best of the learning rates 0.003, 0.01 and 0.03, by one training of half the length with seed 7.
"""

from collections.abc import Mapping
from functools import partial

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import trained
from allsight.claims.segmentation.streets import MEAN_IOU, WHERE, segmenter
from allsight.recipes.segmentation.segmenter import Architecture

STRIDES: dict[str, Architecture] = {"FCN-8s": "fcn8s", "FCN-16s": "fcn16s", "FCN-32s": "fcn32s"}
PATHS: dict[str, Architecture] = {"with skips": "unet", "without skips": "unet_without_skips"}
RATES: dict[Architecture, float] = {
    "fcn8s": 0.01,
    "fcn16s": 0.01,
    "fcn32s": 0.03,
    "unet": 0.03,
    "unet_without_skips": 0.003,
}


def mean_iou(run: Run, *, architecture: Architecture) -> float:
    """Train a decoder; return its mean IoU."""
    recipe = segmenter(run, architecture=architecture, learning_rate=RATES[architecture])
    return trained(recipe, run, architecture).scores[MEAN_IOU]


def _arms(names: Mapping[str, Architecture]) -> dict[str, partial[float]]:
    return {name: partial(mean_iou, architecture=architecture) for name, architecture in names.items()}


FCN = Claim(
    sentence="Scores of finer maps added to those of coarse ones segment better: FCN-8s over 16s over 32s.",
    source="Long et al. 2015, section 4.2 and table 2",
    published="mean IoU 62.7 with FCN-8s, 62.4 with 16s, 59.4 with 32s, on VOC 2011",
    measure=f"mean IoU {WHERE}",
    arms=_arms(STRIDES),
    comparisons=[Comparison("FCN-8s", "FCN-16s"), Comparison("FCN-16s", "FCN-32s")],
)
UNET = Claim(
    sentence="A path that expands segments better with skips from the one that contracts than without.",
    source="Ronneberger et al. 2015, section 1, who give no figure",
    published="of a pyramid that proposes objects: average recall 56.3 with, 46.1 without (Lin et al. 2017, table 1)",
    measure=f"mean IoU {WHERE}",
    arms=_arms(PATHS),
    comparisons=[Comparison("with skips", "without skips")],
)
