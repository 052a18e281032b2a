"""The ledger: which claims there are. Text, so that listing them needs no torch."""

from allsight.claims.method.claim import Claim
from allsight.lookup import named

CLAIMS = {
    "focal-loss": "allsight.claims.detection.dense_losses:CLAIM",
    "two-stages": "allsight.claims.detection.two_stages:CLAIM",
    "fine-tuning": "allsight.claims.detection.fine_tuning:CLAIM",
    "windows-proposals": "allsight.claims.detection.windows_proposals:CLAIM",
    "pretrained-boxes": "allsight.claims.classification.pretrained:BOXES",
    "pretrained-photographs": "allsight.claims.classification.pretrained:PHOTOGRAPHS",
    "pretrained-thumbnails": "allsight.claims.classification.pretrained:THUMBNAILS",
    "transformer-digits": "allsight.claims.classification.transformers:DISTORTED",
    "transformer-addition": "allsight.claims.classification.transformers:ADDITION",
    "fcn-strides": "allsight.claims.segmentation.skips:FCN",
    "unet-skips": "allsight.claims.segmentation.skips:UNET",
    "lovasz-small": "allsight.claims.segmentation.lovasz:CLAIM",
    "relaxed-borders": "allsight.claims.segmentation.relaxed_borders:CLAIM",
    "dilation-pooling": "allsight.claims.segmentation.dilation:CLAIM",
    "unpooling-indices": "allsight.claims.segmentation.unpooling:CLAIM",
    "one-trunk": "allsight.claims.whole.one_trunk:CLAIM",
    "mask-branch": "allsight.claims.instances.mask_branch:CLAIM",
    "regression-averages": "allsight.claims.detection.regression_averages:CLAIM",
}


def claim(name: str) -> Claim:
    """Return a claim by its name.

    Raises:
        ModelError: no claim is called so.
    """
    entry: Claim = named(CLAIMS, name, "claim")
    return entry
