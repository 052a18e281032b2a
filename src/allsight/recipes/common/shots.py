"""A few labelled pictures, drawn again and again: what is drawn, and what the scores say together."""

from collections.abc import Mapping, Sequence

from allsight.data.pictures.dataset import Dataset
from allsight.data.split import shots
from allsight.metrics.interval import mean_interval


def labelled(dataset: Dataset) -> Dataset:
    """Return the pictures in which something is annotated or known to be absent."""
    return dataset.subset(
        i for i, e in enumerate(dataset) if e.annotation.boxes is not None or e.annotation.tags is not None
    )


def draw(dataset: Dataset, k: int, seed: int) -> Dataset:
    """Draw k labelled pictures, of every class where pictures are tagged; see `allsight.data.split.shots`.

    Raises:
        AnnotationError: there are not so many.
    """
    return shots(labelled(dataset), k, seed)


def mean_scores(rows: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean of every score over the resamples, and the half width of its 95% interval."""
    intervals = {name: mean_interval([row[name] for row in rows]) for name in rows[0]}
    return {name: mean for name, (mean, _) in intervals.items()}, {name: half for name, (_, half) in intervals.items()}


def score_line(scores: Mapping[str, float], halves: Mapping[str, float] | None = None) -> str:
    """Return scores as a line for a person, with their intervals if there are any."""
    if halves is None:
        return "  ".join(f"{name} {score:.3f}" for name, score in scores.items())
    return "  ".join(f"{name} {score:.3f} ± {halves[name]:.3f}" for name, score in scores.items())
