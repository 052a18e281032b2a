"""Where an encoder's maxima stood: SegNet's decoder puts values back there, its twin scales them up bilinearly.

All of it learns from random weights, as no trunk with pooling indices is at hand that knows pictures.
"""

from functools import partial

from allsight.claims.claim import Claim, Comparison, Run
from allsight.claims.regions import LONGEST, mean_iou
from allsight.recipes.segmenter import Architecture

ARMS: dict[str, Architecture] = {"encoder's indices": "segnet", "bilinear": "segnet_bilinear"}
RATES: dict[Architecture, float] = {"segnet": 0.01, "segnet_bilinear": 0.01}


def score(run: Run, *, architecture: Architecture) -> float:
    """Train the whole net; return its mean IoU."""
    return mean_iou(
        run,
        arm=architecture,
        architecture=architecture,
        trunk="vgg_narrow",
        frozen=False,
        learning_rate=RATES[architecture],
        trunk_rate=1.0,
    )


CLAIM = Claim(
    sentence="Unpooling by the encoder's indices segments better than scaling up bilinearly.",
    source="Badrinarayanan et al. 2017, section 3.4 and table 1",
    published="bilinear scaling is the least accurate of all decoders there, but has nothing that learns",
    measure=f"mean IoU on camvid val, pictures of {LONGEST} pixels, from random weights, 180 pictures to learn from",
    arms={name: partial(score, architecture=architecture) for name, architecture in ARMS.items()},
    comparisons=[Comparison(*ARMS)],
)
