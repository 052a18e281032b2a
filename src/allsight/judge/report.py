"""The report on an evaluation: a folder with a page, its pictures, and the figures as JSON."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allsight.draw import beside, contact_sheet
from allsight.draw.charts import Line, confusion_chart, line_chart
from allsight.files import atomic, refuse_to_overwrite, settle, together, write_json, write_text
from allsight.judge.evaluate import Evaluation
from allsight.judge.reliance import RELIABILITY_WORDS, RISK_WORDS, Reliance, reliability_chart, risk_chart
from allsight.judge.scores import Scores
from allsight.scene import Scene
from allsight.text import visible

PAGE, FIGURES = "report.html", "scores.json"
# All that a report may consist of: what this one has not, an older one had.
FILES = (PAGE, FIGURES, "curves.svg", "confusion.svg", "reliability.svg", "risk.svg", "worst.jpg")
WORST = 12
MOST_CLASSES = 40  # in a chart: more rows than that cannot be read
MOST_CURVES = 7

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #181a1e; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; margin: .5rem 0; }
p.note { color: #555; }
"""


def refuse_report(folder: Path, force: bool) -> None:
    """Raise an OutputError before any work if a report stands in a folder and may not be replaced."""
    settle(folder)
    for name in (PAGE, FIGURES):
        refuse_to_overwrite(folder / name, force)


def write_report(
    evaluation: Evaluation,
    scores: Scores,
    shown: Callable[[Scene], Scene],
    folder: Path,
    *,
    model: str,
    data: str,
) -> Path:
    """Write report.html, scores.json and the pictures of the page into a folder.

    Args:
        evaluation: truth and prediction. scores: of it.
        shown: leaves of a prediction what a person would be shown.
        folder: where; it may exist.
        model, data: names for the heading.

    Returns:
        The page.

    Raises:
        OutputError: the folder cannot be written.
    """
    with together(folder, FILES, last=PAGE) as temporary:
        _write_files(evaluation, scores, shown, temporary, model, data)
    return folder / PAGE


def _write_files(
    evaluation: Evaluation, scores: Scores, shown: Callable[[Scene], Scene], folder: Path, model: str, data: str
) -> None:
    """Write the files of a report; see `write_report`."""
    parts = [_head(f"{model} on {data}"), _intro(evaluation, scores)]
    parts += ["<h2>Scores</h2>", _table(("score", "value"), [(k, _number(v)) for k, v in scores.summary.items()])]
    parts += ["<h2>Classes</h2>", _class_table(scores)]
    if scores.curves:
        write_text(folder / "curves.svg", _curves(scores))
        parts.append(_figure("curves.svg", "Precision against recall", "At IoU 0.5, the classes with most objects."))
    if scores.reliance is not None:
        parts += _reliance(scores.reliance, scores.task, folder)
    if scores.confusion is not None:
        matrix, names = _largest(scores.confusion, scores.confusion_names)
        write_text(folder / "confusion.svg", confusion_chart(matrix, names, title=""))
        parts.append(_figure("confusion.svg", "What is taken for what", _CONFUSION[scores.task]))
    if worst := scores.worst(WORST):
        sheet = worst_sheet(evaluation, scores, shown, worst)
        with atomic(folder / "worst.jpg") as temporary:
            Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(temporary, "JPEG", quality=88)
        parts.append(_figure("worst.jpg", "The worst pictures", _WORST_WORDS[scores.task]))
    write_json(folder / FIGURES, as_json(evaluation, scores, model=model, data=data))
    write_text(folder / PAGE, "\n".join([*parts, "</body></html>\n"]))


def as_json(evaluation: Evaluation, scores: Scores, *, model: str, data: str) -> dict[str, Any]:
    """Return the figures as plain values; what could not be measured is null."""
    quality = [(float(scores.quality[i]), str(evaluation.examples[i].path)) for i in scores.worst(WORST)]
    matrix = scores.confusion.tolist() if scores.confusion is not None else None
    return {
        "format": "allsight.scores",
        "version": 1,
        "model": model,
        "data": data,
        "task": scores.task,
        "pictures": len(evaluation),
        "failed": list(evaluation.failed),
        "scores": _finite(scores.summary),
        "classes": {name: _finite(figures) for name, figures in scores.per_class.items()},
        "reliance": None if scores.reliance is None else scores.reliance.to_json(),
        "confusion": {"names": list(scores.confusion_names), "counts": matrix},
        "worst": [{"path": path, "score": score} for score, path in quality],
    }


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in figures.items()}


def worst_sheet(
    evaluation: Evaluation, scores: Scores, shown: Callable[[Scene], Scene], which: Sequence[int]
) -> Tensor:
    """Return one sheet of pictures: boxes and regions as truth beside prediction, tags in words underneath.

    Args:
        evaluation, scores, shown: as for `write_report`.
        which: indices of pictures.

    Returns:
        (3, H, W) uint8.
    """
    tiles, captions = [], []
    for i in which:
        example, truth, said = evaluation.examples[i], evaluation.truths[i], shown(evaluation.predictions[i])
        picture, truth, said = _small(example.picture(), truth, said)
        if scores.task != "tags":
            tiles.append(beside(picture, truth, said))
            captions.append(f"{example.path.name}: {scores.quality[i]:.2f}")
        else:
            tiles.append(picture)
            captions.append(f"{' and '.join(_true_tags(truth)) or 'nothing'}, taken for {_best_tag(said)}")
    if scores.task != "tags":
        return contact_sheet(tiles, captions, columns=2, cell=800)
    return contact_sheet(tiles, captions, columns=4, cell=400)


def _true_tags(truth: Scene) -> list[str]:
    if truth.tags is None or truth.tag_classes is None:
        return []
    return [truth.tag_classes[i] for i in (truth.tags > 0.5).nonzero()[:, 0].tolist()]


def _best_tag(said: Scene) -> str:
    assert said.tags is not None and said.tag_classes is not None
    best = int(said.tags.argmax())
    return f"{said.tag_classes[best]} {float(said.tags[best]):.2f}"


def _small(picture: Tensor, *scenes: Scene, longest: int = 640) -> tuple[Tensor, Scene, Scene]:
    """Scale a large picture and its scenes down, so that lines and letters are still seen on a sheet."""
    first, second = scenes
    scale = longest / max(picture.shape[1:])
    if scale >= 1:
        return picture, first, second
    height, width = (max(1, round(side * scale)) for side in picture.shape[1:])
    image = Image.fromarray(picture.permute(1, 2, 0).numpy()).resize((width, height), Image.Resampling.BILINEAR)
    small = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return small, first.resize(height, width), second.resize(height, width)


_CONFUSION = {
    "objects": "Objects as shown, IoU at least 0.5. Rows are the truth; the last column counts objects that were"
    " missed, the last row what was seen where nothing is.",
    "regions": "Pixels. Rows are the truth; the last column counts those taken for a class that the data do not have.",
    "tags": "Rows are the truth; the last column counts pictures taken for a class that the data do not have.",
}
_WORST_WORDS = {
    "objects": "Truth beside prediction as shown; the number is the picture's F1 at IoU 0.5.",
    "regions": "Truth beside prediction; the number is the picture's own mean IoU.",
    "tags": "Those in which what is true was held least probable.",
}


def _intro(evaluation: Evaluation, scores: Scores) -> str:
    words = f"{len(evaluation):,} pictures, {len(scores.per_class):,} classes."
    if evaluation.failed:
        words += f" {len(evaluation.failed):,} pictures could not be read and are in no score."
    if scores.task == "objects":
        words += " Precision and recall are those of what is shown, at the display thresholds of the model."
        if "bowl" in scores.summary:
            words += " So is bowl, the Data Science Bowl's mean precision of masks."
    return f'<p class="note">{words}</p>'


def _class_table(scores: Scores) -> str:
    columns = list(next(iter(scores.per_class.values()), {}))
    rows = [(name, *(_number(figures[c]) for c in columns)) for name, figures in scores.per_class.items()]
    return _table(("class", *columns), rows)


def _largest(matrix: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Keep the classes that occur most, and the last row and column, which stand for none of them."""
    last = len(names) - 1
    often = np.argsort(-(matrix.sum(0) + matrix.sum(1))[:last], kind="stable")[:MOST_CLASSES]
    keep = [*sorted(often.tolist()), last]
    return matrix[np.ix_(keep, keep)], [names[i] for i in keep]


def _curves(scores: Scores) -> str:
    """Return the precision-recall curves of the classes with most objects."""
    often = sorted(scores.curves.items(), key=lambda item: -item[1].objects)[:MOST_CURVES]
    lines = []
    for name, curve in often:
        some = np.unique(np.linspace(0, max(len(curve.recall) - 1, 0), 200).astype(int))[: len(curve.recall)]
        lines.append(Line(f"{name} ({curve.objects:,})", curve.recall[some], curve.precision[some]))
    return line_chart(lines, title="", x_title="recall", y_title="precision")


def _reliance(reliance: Reliance, task: str, folder: Path) -> list[str]:
    """Draw how far scores can be relied on and return the page's part about it."""
    write_text(folder / "reliability.svg", reliability_chart(reliance))
    parts = [_figure("reliability.svg", "How far scores are probabilities", RELIABILITY_WORDS[task])]
    if len(reliance.risk.risk):
        write_text(folder / "risk.svg", risk_chart(reliance.risk))
        parts.append(_figure("risk.svg", "Risk against coverage", RISK_WORDS[task]))
    return parts


def _head(title: str) -> str:
    text = escape(visible(title))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{text}</h1>"
    )


def _figure(file: str, title: str, words: str) -> str:
    return f'<h2>{escape(title)}</h2><p class="note">{escape(words)}</p><img src="{file}" alt="{escape(title)}">'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(visible(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if np.isfinite(value) else "-"
