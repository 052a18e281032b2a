"""Dilation in place of the trunk's last strides: the same weights on a finer grid, and one 1x1 convolution on either.

Both arms have the learning rate that was best for FCN-32s, which is the same layer on the strided trunk; see
`allsight.claims.regions`.
"""

from functools import partial

from allsight.claims.claim import Claim, Comparison
from allsight.claims.regions import WHERE, mean_iou

STRIDES = {"dilated, stride 8": 8, "strided, 32": 32}
RATE = 0.03

CLAIM = Claim(
    sentence="Dilated convolutions in place of the last strides segment better, by the very same weights.",
    source="Yu and Koltun 2016, section 4; Chen et al. 2017 (DeepLab v3), table 1",
    published="mean IoU 75.2 at stride 8, 73.9 at 16, 70.1 at 32, ResNet-50 with a seventh block on VOC 2012",
    measure=f"mean IoU {WHERE}",
    arms={
        name: partial(mean_iou, arm=name, architecture="front_end", output_stride=stride, learning_rate=RATE)
        for name, stride in STRIDES.items()
    },
    comparisons=[Comparison(*STRIDES)],
)
