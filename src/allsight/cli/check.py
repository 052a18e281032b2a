"""`allsight check`: the doctor."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from allsight.cli.datasets import read_splits
from allsight.cli.terminal import note, only_json, refuse_result, show, write_result
from allsight.files import atomic, refuse_to_overwrite

# Torch is imported inside the functions: help must not wait for it.
if TYPE_CHECKING:
    from allsight.data.doctor import Report
    from allsight.data.pictures.dataset import Example, Problem
    from allsight.scene import Scene

SHEET = "worst.png"
LEAST_SHOWN = 0.04  # of the longer side: a box without area could not be seen


def check(
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    *,
    split: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: all)")] = None,
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None,
    json: Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")] = None,
    force: bool = False,
) -> int:
    """Examine annotated pictures: bad boxes, unknown classes, unreadable or missing pictures, duplicates across splits.

    Exit code: 0 training can start (what is bad in part is left out), 1 it would refuse, 2 nothing could be read.

    Args:
        data: COCO JSON, VOC XML, YOLO txt, label maps, a folder per class, or .npz.
        split: Which part of it.
        out: Draw the pictures with most problems there.
        json: Write the findings as JSON there; "-" is stdout.
        force: Replace files that exist already.

    Returns:
        The exit code.
    """
    refuse_result(json, force)
    if out is not None:
        refuse_to_overwrite(out / SHEET, force)
    with only_json(json == "-") as stdout:
        from allsight.data.doctor import check as examine

        datasets = read_splits(data, split)
        note(f"examining {sum(map(len, datasets.values())):,} pictures")
        report = examine(datasets)
        write_result(report.to_json(), json, stdout)
        show(*report.lines())
        if out is not None:
            show(_draw_worst(report, out / SHEET))
    return 1 if report.fatal else 0


def _draw_worst(report: "Report", path: Path) -> str:
    """Draw the pictures with most problems on one sheet and say where it is."""
    from PIL import Image

    from allsight.draw import contact_sheet, draw

    worst = report.worst()
    if not worst:
        return "no problem has a picture to show"
    drawn = [draw(example.picture(), _marked(example, problems)) for example, problems in worst]
    captions = [f"{example.path.name}: {', '.join(_kinds(problems))}" for example, problems in worst]
    sheet = contact_sheet(drawn, captions)
    with atomic(path) as temporary:
        Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(temporary, "PNG")
    return f"the worst cases are drawn in {path}"


def _marked(example: "Example", problems: "list[Problem]") -> "Scene":
    """Return the faulty boxes, each named by its fault and large enough to be seen, even if it has no area."""
    import torch

    from allsight.scene import Vocabulary

    faulty = [p for p in problems if p.box is not None and all(map(math.isfinite, p.box))]
    boxes = torch.tensor([p.box for p in faulty]).reshape(-1, 2, 2)
    height, width = example.annotation.size
    centre, half = boxes.mean(1), (boxes[:, 1] - boxes[:, 0]).abs() / 2
    half = half.clamp_min(LEAST_SHOWN * max(height, width) / 2)
    limit = torch.tensor([width, height])
    corners = torch.cat(
        [(centre - half).minimum(limit * (1 - LEAST_SHOWN)), (centre + half).maximum(limit * LEAST_SHOWN)], 1
    )
    kinds = _kinds(faulty)
    labels = torch.tensor([kinds.index(p.kind) for p in faulty], dtype=torch.int64)
    return example.annotation.with_(boxes=corners, labels=labels, object_classes=Vocabulary(tuple(kinds)))


def _kinds(problems: "list[Problem]") -> list[str]:
    return list(dict.fromkeys(problem.kind for problem in problems))
