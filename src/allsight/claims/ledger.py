"""The ledger: which claims there are. Text, so that listing them needs no torch."""

from importlib import import_module

from allsight.claims.claim import Claim
from allsight.errors import ModelError

CLAIMS = {
    "focal-loss": "allsight.claims.dense_losses:CLAIM",
    "two-stages": "allsight.claims.two_stages:CLAIM",
    "fine-tuning": "allsight.claims.fine_tuning:CLAIM",
    "windows-proposals": "allsight.claims.windows_proposals:CLAIM",
    "pretrained-boxes": "allsight.claims.pretrained:BOXES",
    "pretrained-photographs": "allsight.claims.pretrained:PHOTOGRAPHS",
    "pretrained-thumbnails": "allsight.claims.pretrained:THUMBNAILS",
    "transformer-digits": "allsight.claims.transformers:TURNED",
    "transformer-places": "allsight.claims.transformers:ANYWHERE",
    "transformer-addition": "allsight.claims.transformers:ADDITION",
    "fcn-strides": "allsight.claims.skips:FCN",
    "unet-skips": "allsight.claims.skips:UNET",
    "lovasz-small": "allsight.claims.lovasz:CLAIM",
    "relaxed-borders": "allsight.claims.relaxed_borders:CLAIM",
    "dilation-pooling": "allsight.claims.dilation:CLAIM",
    "unpooling-indices": "allsight.claims.unpooling:CLAIM",
    "one-trunk": "allsight.claims.one_trunk:CLAIM",
    "mask-branch": "allsight.claims.mask_branch:CLAIM",
    "regression-averages": "allsight.claims.regression_averages:CLAIM",
}


def claim(name: str) -> Claim:
    """Return a claim by its name.

    Raises:
        ModelError: no claim is called so.
    """
    if name not in CLAIMS:
        raise ModelError(f"no claim is called {name!r}; there are {', '.join(CLAIMS)}")
    module, _, attribute = CLAIMS[name].partition(":")
    found: Claim = getattr(import_module(module), attribute)
    return found
