"""What masks do for boxes: Mask R-CNN on nuclei, with its mask branch and with boxes alone.

Both arms see the same pictures and boxes, and make as many steps. Each has its best learning rate; see
`allsight.claims.method.training.tuned`. The seed also says which pictures are held out.
"""

from functools import partial
from typing import Any

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import trained, tuned
from allsight.recipes.instances.mask_rcnn import MaskRCNN

LONGEST = 320
RATES = (0.001, 0.002, 0.004)
SIZE: dict[str, Any] = {"longest": LONGEST, "epochs": 16, "proposed": 500, "most": 300}
QUICK: dict[str, Any] = {"longest": 128, "epochs": 1, "shots": 16, "steps": 0, "proposed": 100, "most": 50}


def average_precision(run: Run, *, masks: bool) -> float:
    """Train with or without masks; return COCO's AP of boxes on held-out pictures."""
    recipe = MaskRCNN(
        (run.data / "nuclei",),
        masks=masks,
        turned=True,
        evaluate_every=SIZE["epochs"],  # once: where masks are not learned their score shall choose no weights
        **{**SIZE, **(QUICK if run.quick else {})},
    )
    arm = "with masks" if masks else "boxes alone"
    return trained(tuned(recipe, run, arm, score="AP", rates=RATES), run, arm).scores["AP"]


CLAIM = Claim(
    sentence="A mask branch beside the boxes makes the boxes better.",
    source="He et al. 2017 (Mask R-CNN), section 4.3 and table 3",
    published="box AP 38.2 with masks, 37.3 without, ResNet-101 with a pyramid on COCO",
    measure=f"AP of boxes on nuclei that were held out, pictures of {LONGEST} pixels",
    arms={"with masks": partial(average_precision, masks=True), "boxes alone": partial(average_precision, masks=False)},
    comparisons=[Comparison("with masks", "boxes alone")],
)
