"""Where an encoder's maxima stood: SegNet's decoder puts values back there, its twin scales them up bilinearly.

All of it learns from random weights, as no trunk with pooling indices is at hand that knows pictures. Each arm has its
best learning rate; see `allsight.claims.method.training.tuned`.
"""

from functools import partial

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import trained, tuned
from allsight.claims.segmentation.streets import LONGEST, MEAN_IOU, segmenter
from allsight.recipes.segmentation.segmenter import Architecture

ARMS: dict[str, Architecture] = {"encoder's indices": "segnet", "bilinear": "segnet_bilinear"}


def mean_iou(run: Run, *, architecture: Architecture) -> float:
    """Train the whole net; return its mean IoU."""
    recipe = segmenter(run, architecture=architecture, trunk="vgg_narrow", frozen=False, trunk_rate=1.0)
    return trained(tuned(recipe, run, architecture, score=MEAN_IOU), run, architecture).scores[MEAN_IOU]


CLAIM = Claim(
    sentence="Unpooling by the encoder's indices segments better than scaling up bilinearly.",
    source="Badrinarayanan et al. 2017, section 3 and table 1",
    published="bilinear scaling is the least accurate of all decoders there, but has nothing that learns",
    measure=f"mean IoU on camvid val, pictures of {LONGEST} pixels, from random weights, 180 pictures to learn from",
    arms={name: partial(mean_iou, architecture=architecture) for name, architecture in ARMS.items()},
    comparisons=[Comparison(*ARMS)],
)
