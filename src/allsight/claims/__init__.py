"""Claims: sentences of the lectures, put to the test at laptop scale."""

from allsight.claims.method.claim import Claim, Comparison, Run, judge
from allsight.claims.method.ledger import CLAIMS, claim

__all__ = ["CLAIMS", "Claim", "Comparison", "Run", "claim", "judge"]
