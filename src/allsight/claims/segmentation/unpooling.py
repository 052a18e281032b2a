"""Where an encoder's maxima stood: SegNet's decoder puts values back there, its twin scales them up bilinearly.

All of it learns from random weights, as no trunk with pooling indices is at hand that knows pictures, and as long as
the architectures of the documentation's table do (benchmarks/segmentation.py). Each arm has the best of the learning
rates 0.001, 0.003 and 0.01, by one training of a quarter of the length with seed 7.
"""

from functools import partial

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import trained
from allsight.claims.segmentation.streets import MEAN_IOU, segmenter
from allsight.recipes.segmentation.segmenter import Architecture

ARMS: dict[str, Architecture] = {"encoder's indices": "segnet", "bilinear": "segnet_bilinear"}
RATES: dict[Architecture, float] = {"segnet": 0.003, "segnet_bilinear": 0.003}
LONGEST, EPOCHS = 320, 12


def mean_iou(run: Run, *, architecture: Architecture) -> float:
    """Train the whole net; return its mean IoU."""
    recipe = segmenter(
        run,
        architecture=architecture,
        trunk="vgg_narrow",
        frozen=False,
        shots=0,
        trunk_rate=1.0,
        learning_rate=RATES[architecture],
        longest=LONGEST,
        epochs=EPOCHS,
        evaluate_every=EPOCHS,
    )
    return trained(recipe, run, architecture).scores[MEAN_IOU]


CLAIM = Claim(
    sentence="Unpooling by the encoder's indices segments better than scaling up bilinearly.",
    source="Badrinarayanan et al. 2017, section 3 and table 1",
    published="bilinear scaling is the least accurate of all decoders there, but has nothing that learns",
    measure=f"mean IoU on camvid val, pictures of {LONGEST} pixels, from random weights, {EPOCHS} epochs",
    arms={name: partial(mean_iou, architecture=architecture) for name, architecture in ARMS.items()},
    comparisons=[Comparison(*ARMS)],
)
