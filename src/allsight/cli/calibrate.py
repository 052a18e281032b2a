"""`allsight calibrate`: teach a model to say when it does not know."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from allsight.cli.evaluate import held_out
from allsight.cli.terminal import note, number, progress, show, table
from allsight.errors import AnnotationError, OutputError
from allsight.files import refuse_to_overwrite

# Torch is imported inside the functions: help must not wait for it.
if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset


def calibrate(
    model: Annotated[Positional[str], arg(metavar="MODEL", help_behavior_hint="")],
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    *,
    split: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: val, else test)")] = None,
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: the model's own folder)")] = None,
    force: bool = False,
) -> int:
    """Fit what a model knows of its limits, for `allsight see --abstain`, and add it to the model's folder.

    Scores become probabilities: scale and shift are fitted on held-out pictures. The features of the pictures that it
    learned from, and of the objects in them, say what is familiar. The figures that are shown come from two halves of
    the held-out pictures, each judged by what was fitted on the other.

    Args:
        model: Name of a shipped model, or a folder with a model or a training run.
        data: A data set in any form that `allsight check` reads, with the train split that the model learned from.
        split: The split that it did not learn from.
        out: Write a copy of the model there and leave the model as it is; needed for a shipped or fetched model.
        force: Replace an earlier calibration, or the model that stands in --out.

    Returns:
        The exit code.
    """
    from allsight.hub import CONFIG, KNOWLEDGE, read_config
    from allsight.judge import calibrate as work
    from allsight.predict import load
    from allsight.weights.find import is_shared

    folder, _ = read_config(model)
    if out is None and is_shared(folder):
        raise OutputError(f"{model}: is not yours to change; give --out FOLDER for a copy with the calibration")
    refuse_to_overwrite(folder / KNOWLEDGE if out is None else out / CONFIG, force)
    train, judged = _parts(data, split)
    predictor = load(model)
    found = work.calibrate(predictor, train, judged, partial(progress, words="looking"))
    for line in found.failed:
        note(f"error: {line}")
    told = predictor.model
    told.knowledge = found.knowledge
    told.card["calibration"] = {"data": found.knowledge.data, **work.rounded(found.figures)}
    place = told.describe(folder) if out is None else told.save(out)
    made = table((f"{told.name} on {found.knowledge.data}", ">value"))
    for name, value in found.figures.items():
        made.add_row(name, number(value))
    show(made, f"written to {place}; look at pictures with: allsight see PATH --model {out or model} --abstain")
    return 1 if found.failed else 0


def _parts(data: Path, split: str | None) -> "tuple[Dataset, Dataset]":
    """Return what the model learned from and what it did not."""
    from allsight.data.formats.catalogue import open_dataset, splits

    if splits(data) == [""]:
        raise AnnotationError(f"{data}: is not divided into train and val; run: allsight split {data} --out FOLDER")
    train, judged = open_dataset(data, "train"), held_out(data, split)
    if train.split == judged.split:
        raise AnnotationError(f"{data}: {train.split} is what the model learned from; choose another --split")
    return train, judged
