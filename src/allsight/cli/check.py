"""`allsight check`: the doctor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from allsight.cli.datasets import read_splits
from allsight.cli.terminal import note, only_json, refuse_result, show, write_result
from allsight.files import atomic, refuse_to_overwrite

# Torch is imported inside the functions: help must not wait for it.
if TYPE_CHECKING:
    from allsight.data.doctor import Report

SHEET = "worst.png"


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
        data: COCO JSON, VOC XML, YOLO txt, a folder per class, or .npz.
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
    drawn = [draw(example.picture(), example.scene) for example, _ in worst]
    captions = [f"{example.path.name}: {_kinds([p.kind for p in problems])}" for example, problems in worst]
    sheet = contact_sheet(drawn, captions)
    with atomic(path) as temporary:
        Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(temporary, "PNG")
    return f"the worst cases are drawn in {path}"


def _kinds(kinds: list[str]) -> str:
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
