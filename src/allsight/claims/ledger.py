"""The ledger: which claims there are. Text, so that listing them needs no torch."""

from importlib import import_module

from allsight.claims.claim import Claim
from allsight.errors import ModelError

CLAIMS = {
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
