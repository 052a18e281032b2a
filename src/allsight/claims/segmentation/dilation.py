"""Dilation in place of the trunk's last strides: the same weights on a finer grid, and one 1x1 convolution on either.

Each arm has its best learning rate; see `allsight.claims.method.training.tuned`.
"""

from functools import partial

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import trained, tuned
from allsight.claims.segmentation.streets import MEAN_IOU, WHERE, segmenter

STRIDES = {"dilated, stride 8": 8, "strided, 32": 32}


def mean_iou(run: Run, *, stride: int) -> float:
    """Train the convolution on a grid of so many pixels; return its mean IoU."""
    recipe, arm = segmenter(run, architecture="front_end", output_stride=stride), f"stride {stride}"
    return trained(tuned(recipe, run, arm, score=MEAN_IOU), run, arm).scores[MEAN_IOU]


CLAIM = Claim(
    sentence="Dilated convolutions in place of the last strides segment better, by the very same weights.",
    source="Yu and Koltun 2016, section 4; Chen et al. 2017 (DeepLab v3), table 1",
    published="mean IoU 75.2 at stride 8, 73.9 at 16, 70.1 at 32, ResNet-50 with a seventh block on VOC 2012",
    measure=f"mean IoU {WHERE}",
    arms={name: partial(mean_iou, stride=stride) for name, stride in STRIDES.items()},
    comparisons=[Comparison(*STRIDES)],
)
