"""Several trainings with seeds that follow one another, on pictures read once, and what their scores say together."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from allsight.data.pictures.dataset import Dataset
from allsight.files import write_json
from allsight.hub import Model
from allsight.recipes.common.data import Data
from allsight.recipes.common.folder import run_in_folder
from allsight.recipes.common.job import Job, leads
from allsight.recipes.common.settings import FewLabels
from allsight.recipes.common.shots import draw, mean_scores, score_line

Settings = TypeVar("Settings", bound=FewLabels)


def draw_shots(settings: FewLabels, train: Dataset) -> Dataset:
    """Return the pictures to learn from out of all that there are.

    Raises:
        AnnotationError: there are not so many.
    """
    return draw(train, settings.shots, settings.seed) if settings.shots else train


def few_labels(
    settings: Settings,
    read: Callable[[Settings], Data],
    job: Callable[[Settings, Data], Job],
    drawn: Callable[[Settings, Dataset], Dataset] = draw_shots,
) -> Job:
    """Read the data, draw from them what is to be learned from, and return the training, or that of all resamples.

    Args:
        settings: of the recipe. read: gives all data. job: puts a training together.
        drawn: the pictures to learn from out of all that there are.

    Raises:
        AnnotationError, TrainingError: the data cannot be read or learned from, or there are not so many.
    """
    data = read(settings)
    each = {name: (one, data._replace(train=drawn(one, data.train))) for name, one in settings.jobs().items()}
    if list(each) == [""]:
        return job(*each[""])
    quiet = {name: (one, some._replace(notes=[])) for name, (one, some) in each.items()}
    trainings = [Training(name, one, len(some.train), partial(job, one, some)) for name, (one, some) in quiet.items()]
    return Resamples(trainings, settings.shots, data.notes)


class Training(NamedTuple):
    """One of several: the name of its folder in the run's, its settings, and how many pictures it learns from."""

    name: str
    settings: FewLabels
    pictures: int
    build: Callable[[], Job]


class Resamples:
    """Trainings one after the other, each a run of its own; resamples.json has all scores, the model is the first's.

    Args:
        trainings: at least two.
        shots: as the settings have it.
        notes: lines that the doctor has to say about the data, once for all.
    """

    def __init__(self, trainings: Sequence[Training], shots: int, notes: Sequence[str] = ()) -> None:
        self.trainings = trainings
        self.shots = shots
        self.notes = notes
        self._model: Model | None = None

    @property
    def model(self) -> Model:
        """That of the first training."""
        self._model = self._model or self.trainings[0].build().model
        return self._model

    def run(self, out: Path, resume: bool, say: Callable[[str], None]) -> dict[str, float]:
        """Train with every seed; return the mean scores. See `Job.run`."""
        for note in self.notes if leads() else ():
            say(note)
        rows = []
        for number, (name, settings, pictures, build) in enumerate(self.trainings):
            # Whoever may replace the whole may replace these. Of all jobs only the first one's model is kept.
            scores, model = run_in_folder(out / name, settings, build, resume=resume, force=not resume, say=say)
            self._model = self._model if number else model
            rows.append(scores)
            if leads():
                say(f"resample {number}, {pictures} pictures: {score_line(scores)}")
        means, halves = mean_scores(rows)
        if leads():
            say(f"mean of {len(rows)} resamples, with 95% interval: {score_line(means, halves)}")
            seeds = [training.settings.seed for training in self.trainings]
            all_scores = {"scores": rows, "mean": means, "interval95": halves}
            write_json(out / "resamples.json", {"shots": self.shots, "seeds": seeds, **all_scores})
            self.model.card["over resamples"] = {name: f"{means[name]:.3f} ± {halves[name]:.3f}" for name in means}
        return means
