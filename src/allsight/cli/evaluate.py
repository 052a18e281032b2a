"""`allsight eval`: score a model, by what its inputs are."""

from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from tyro.conf import Positional, arg

from allsight.cli.terminal import note, number, only_json, progress, refuse_result, show, table, write_result
from allsight.errors import AnnotationError, ModelError
from allsight.lookup import named

# Torch is imported inside the functions: help must not wait for it.
if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset
    from allsight.judge.evaluate import Evaluation
    from allsight.judge.scores import Scores
    from allsight.predict import Predictor

MOST = 20  # classes in the terminal
# Kind of a model's inputs -> what scores it: (predictor, data, stdout) and, as keywords, the options it has use for.
KINDS = {"pictures": "allsight.cli.evaluate:evaluate_pictures"}


def evaluate(
    model: Annotated[Positional[str], arg(metavar="MODEL")],
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    *,
    split: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: val, else test)")] = None,
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None,
    json: Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")] = None,
    force: bool = False,
) -> int:
    """Score a model on annotated pictures: boxes and masks as COCO and VOC do, tags by accuracy or average precision,
    regions by intersection over union.

    Args:
        model: Name of a shipped model, or a folder with a model or a training run.
        data: A data set in any form that `allsight check` reads.
        split: Which part of it.
        out: Write a report there: scores per class and size, precision-recall curves, confusions, the worst pictures.
        json: Write the scores as JSON there; "-" is stdout.
        force: Replace files that exist already.

    Returns:
        The exit code.
    """
    refuse_result(json, force)
    with only_json(json == "-") as stdout:
        from allsight.predict import load

        predictor = load(model, precision="float32")
        return _evaluate(predictor, data, stdout, split=split, out=out, json=json, force=force or None)


def _evaluate(predictor: "Predictor", data: Path, stdout: TextIO, **options: Any) -> int:
    """Score a model as its kind is scored; None stands for an option that was not given.

    Raises:
        ModelError: there is no measure for such a model, or an option that it has no use for.
    """
    name, kind = predictor.model.name, predictor.model.inputs.kind
    if kind not in KINDS:
        raise ModelError(f"{name}: takes {kind}; what can be scored are models that take {', '.join(KINDS)}")
    score = named(KINDS, kind, "measure")
    given = {option: value for option, value in options.items() if value is not None}
    if useless := given.keys() - signature(score).parameters.keys():
        raise ModelError(f"--{min(useless)}: has no use for {name}, which takes {kind}; leave it out")
    code: int = score(predictor, data, stdout, **given)
    return code


def evaluate_pictures(
    predictor: "Predictor",
    data: Path,
    stdout: TextIO,
    *,
    split: str | None = None,
    out: Path | None = None,
    json: str | None = None,
    force: bool = False,
) -> int:
    """Score a model of pictures; for the options see `evaluate`."""
    from allsight.data.pictures.overlay import with_region_groups
    from allsight.judge.evaluate import answers
    from allsight.judge.pictures import judge
    from allsight.judge.report import as_json, refuse_report, write_report

    if out is not None:
        refuse_report(out, force)
    # A model that knows groups of classes is judged by these.
    dataset = with_region_groups(held_out(data, split), getattr(predictor.system, "groups", {}))
    said = progress(answers(predictor, dataset), len(dataset), "evaluating")
    evaluation, found = judge(predictor, dataset, said)
    for line in evaluation.failed:
        note(f"error: {line}")
    names = {"model": predictor.model.name, "data": "/".join(filter(None, (dataset.name, dataset.split)))}
    write_result(as_json(evaluation, found, **names), json, stdout)
    _show(evaluation, found, **names)
    if out is not None:
        show(f"the report is {write_report(evaluation, found, predictor.shown, out, **names)}")
    return 1 if evaluation.failed else 0


def held_out(data: Path, split: str | None) -> "Dataset":
    """Read the split that is asked for, else the one that is there to be judged by."""
    from allsight.data.formats.catalogue import open_dataset, splits

    there = splits(data)
    if split is None and there != [""]:
        split = next((name for kind in ("val", "test") for name in there if name.startswith(kind)), None)
        if split is None:
            raise AnnotationError(f"{data}: has no split called val or test; choose with --split: {', '.join(there)}")
    return open_dataset(data, split)


def _show(evaluation: "Evaluation", found: "Scores", *, model: str, data: str) -> None:
    whole = table(("score", ">value"))
    for name, value in found.summary.items():
        whole.add_row(name, number(value))
    columns = list(next(iter(found.per_class.values()), {}))
    each = table(("class", *(f">{name}" for name in columns)))
    ranked = sorted(found.per_class.items(), key=lambda item: -item[1][columns[-1]])
    for name, figures in ranked[:MOST]:
        each.add_row(name, *(f"{v:,}" if isinstance(v, int) else number(v) for v in figures.values()))
    rest = [f"and {len(ranked) - MOST} more classes"] if len(ranked) > MOST else []
    show(f"{model} on {data}, {len(evaluation):,} pictures", whole, each, *rest, "")
