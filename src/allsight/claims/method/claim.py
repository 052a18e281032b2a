"""A claim: a sentence, its arms, and the rule by which a verdict is reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from allsight.errors import AllsightError
from allsight.metrics.interval import mean_interval

Outcome = Literal["holds", "does not hold", "not decided at this scale"]
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Run:
    """What an arm is told.

    Args:
        data: the folder of data sets.
        seed: of everything random; arms of one seed are compared with one another.
        quick: minutes instead of the full size.
        scratch: a folder for checkpoints and caches, shared by all runs of a claim.
    """

    data: Path
    seed: int
    quick: bool
    scratch: Path


@dataclass(frozen=True)
class Comparison:
    """One arm is said to score higher than another, or than a share of it.

    Args:
        better, worse: names of arms.
        share: of what the worse one scores; below 1 the better one is said to keep up with it, not to beat it.
    """

    better: str
    worse: str
    share: float = field(default=1.0, kw_only=True)

    @property
    def bar(self) -> str:
        """What is to be passed, in words."""
        return self.worse if self.share == 1 else f"{self.share:.0%} of {self.worse}"


@dataclass(frozen=True)
class Claim:
    """One sentence of the lectures, and how it is tested.

    Args:
        sentence: what is claimed.
        source: paper and section. published: the paper's figure, in words.
        measure: the name of the score that arms return, higher being better.
        arms: by name, functions that train and measure; equally tuned, nothing else changed.
        comparisons: which arm is said to beat which; the claim holds if all of them do.
        seeds: at least three.
    """

    sentence: str
    source: str
    published: str
    measure: str
    arms: Mapping[str, Callable[[Run], float]]
    comparisons: Sequence[Comparison]
    seeds: Sequence[int] = (0, 1, 2)

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < LEAST_SEEDS:
            raise AllsightError(f"a claim needs at least {LEAST_SEEDS} seeds, not {len(set(self.seeds))}")
        unknown = {name for c in self.comparisons for name in (c.better, c.worse)} - self.arms.keys()
        if unknown or not self.comparisons:
            raise AllsightError(f"a claim compares arms that it has; it has {', '.join(self.arms)}, not {unknown}")


@dataclass(frozen=True)
class Verdict:
    """The mean difference of two arms, paired by seed, and what follows.

    Args:
        difference: mean of better minus worse. low, high: its 95% interval.
        outcome: by the rule of `judge`.
    """

    difference: float
    low: float
    high: float
    outcome: Outcome


def judge(better: Sequence[float], worse: Sequence[float]) -> Verdict:
    """Compare two arms that were run with the same seeds.

    The interval is Student's, over the differences (paired t-test). The claim holds if all of it lies above zero, does
    not hold if all of it lies below, and is not decided otherwise.

    Args:
        better, worse: scores by seed, in the same order.

    Raises:
        AllsightError: fewer than three pairs.
    """
    differences = [a - b for a, b in zip(better, worse, strict=True)]
    count = len(differences)
    if count < LEAST_SEEDS:
        raise AllsightError(f"a verdict needs at least {LEAST_SEEDS} paired runs, not {count}")
    mean, margin = mean_interval(differences)
    low, high = mean - margin, mean + margin
    outcome: Outcome = "holds" if low > 0 else "does not hold" if high < 0 else "not decided at this scale"
    return Verdict(mean, low, high, outcome)


def together(verdicts: Sequence[Verdict]) -> Outcome:
    """Return what several comparisons say of one claim: it holds if all hold, does not if one does not."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if "does not hold" in outcomes:
        return "does not hold"
    return "holds" if outcomes == {"holds"} else "not decided at this scale"
