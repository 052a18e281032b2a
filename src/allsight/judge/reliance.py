"""How far a model's scores can be relied on: as they are, and once they are calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from allsight.draw.charts import Line, line_chart
from allsight.judge.tag_tables import fit_tags, sureness_of_tags, tag_answers
from allsight.metrics.calibration import Reliability, crosswise, fit_platt, judged_detections, logit, reliability
from allsight.metrics.columns import Flags, Floats
from allsight.metrics.selective import RiskCurve, risk_curve
from allsight.scene import Scene

COVERAGES = (1.0, 0.8, 0.5)
MOST_POINTS = 200  # of a line in a chart
RELIABILITY_WORDS = {
    "objects": "Of all that is said with about the same score, how much is right (IoU at least 0.5). Calibrated: scale"
    " and shift of the scores' logits, for each half of the pictures fitted on the other half.",
    "tags": "Of what is said with about the same probability, how much is right. Calibrated: by a temperature (where"
    " tags exclude each other) or by scale and shift, for each half of the pictures fitted on the other half.",
}
RISK_WORDS = {
    "objects": "The share of what is shown that is wrong, if only the surest part of it were shown.",
    "tags": "The share of answers that are wrong, if only the surest part of them were given.",
}


@dataclass(frozen=True, eq=False)
class Reliance:
    """What an evaluation says of scores.

    Args:
        raw: how often what is said is right, as it is scored.
        calibrated: the same of calibrated scores; each half of the pictures by what was fitted on the other half.
        risk: the share of wrong answers among the surest of those that are shown.
    """

    raw: Reliability
    calibrated: Reliability
    risk: RiskCurve

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; of the risk, what it is at a few coverages, null where nothing is shown."""
        bins = {
            name: [
                {"confidence": round(said, 4), "accuracy": round(right, 4), "count": count}
                for said, right, count in zip(
                    each.confidence.tolist(), each.accuracy.tolist(), each.count.tolist(), strict=True
                )
            ]
            for name, each in (("raw", self.raw), ("calibrated", self.calibrated))
        }
        some = len(self.risk.risk) > 0
        return bins | {"risk": {f"{share:.0%}": round(self.risk.at(share), 4) if some else None for share in COVERAGES}}


def reliance_on_objects(
    truths: Sequence[Scene], predictions: Sequence[Scene], shown: Sequence[Scene]
) -> Reliance | None:
    """Return it for boxes: everything that was said makes the reliability, what is shown makes the risk.

    Args:
        truths, predictions, shown: one Scene a picture, in the same order.
    """
    rows, hits = judged_detections(truths, predictions)
    if not len(rows):
        return None

    def fitted(fit: Flags, use: Flags) -> Floats:
        found = fit_platt(logit(rows.scores[fit]), hits[fit])
        return rows.scores[use] if found is None else found(torch.from_numpy(rows.scores[use])).numpy()

    calibrated = crosswise(rows.pictures, fitted)
    seen, right = judged_detections(truths, shown)
    return Reliance(reliability(rows.scores, hits), reliability(calibrated, hits), risk_curve(seen.scores, ~right))


def reliance_on_tags(truths: Sequence[Scene], predictions: Sequence[Scene]) -> Reliance | None:
    """Return it for tags: of the best tag of each picture if tags are exclusive, else of every tag."""
    answers = tag_answers(truths, predictions)
    if answers is None:
        return None
    probabilities, truth = answers
    confidence, right = sureness_of_tags(probabilities, truth)
    picture = np.repeat(np.arange(len(truth)), len(confidence) // len(truth))

    def fitted(fit: Flags, use: Flags) -> Floats:
        these, those = (np.unique(picture[mask]) for mask in (fit, use))
        found = fit_tags(probabilities[these], truth[these])
        left = probabilities[those]
        return sureness_of_tags(left if found is None else found(left), truth[those])[0]

    calibrated = crosswise(picture, fitted)
    return Reliance(reliability(confidence, right), reliability(calibrated, right), risk_curve(confidence, ~right))


def reliability_chart(reliance: Reliance) -> str:
    """Return the diagram of accuracy over confidence, before and after, as SVG (Guo et al. 2017, figure 1)."""
    lines = [Line("as it should be", [0, 1], [0, 1], reference=True)]
    for name, each in (("as scored", reliance.raw), ("calibrated", reliance.calibrated)):
        lines.append(Line(f"{name}, ECE {each.error:.3f}", each.confidence, each.accuracy, markers=True))
    return line_chart(lines, title="", x_title="confidence", y_title="share that is right")


def risk_chart(curve: RiskCurve) -> str:
    """Return risk over coverage as SVG."""
    some = np.unique(np.linspace(0, len(curve.risk) - 1, MOST_POINTS).astype(int))
    line = Line(f"mean {curve.area:.3f}", curve.coverage[some], curve.risk[some])
    most = max(0.1, float(curve.risk[some].max()))
    return line_chart([line], title="", x_title="coverage", y_title="risk", y_range=(0, min(1.0, 1.1 * most)))
