"""What is in a picture as rows of a table: one an object."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pycocotools import mask as coco

from allsight.errors import OutputError
from allsight.machine.packages import install_command

if TYPE_CHECKING:
    from allsight.scene.scene import Scene

# Every column and the type of what stands in it; an object that has nothing to say there leaves it empty.
COLUMNS: dict[str, type] = {
    "path": str,
    "width": int,
    "height": int,
    "object": int,
    "label": str,
    "score": float,
    "x1": float,
    "y1": float,
    "x2": float,
    "y2": float,
    "pixels": int,
    "located": str,
    "known": bool,
    "distance": float,
    "track": int,
}
_COPIED = ("label", "score", "located", "known", "distance", "track")


def rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of one picture, all with the keys of `COLUMNS`.

    Args:
        value: what `Scene.to_json` gives.

    Returns:
        A row an object: its number from 1, its class, score and box, and how many pixels its mask covers. Where the
        model says nothing of objects, one row with the most probable tag of the picture.
    """
    height, width = value["size"]
    blank = dict.fromkeys(COLUMNS) | {"path": value["path"], "width": width, "height": height}
    if "objects" not in value:
        return [blank | best for best in value.get("tags", [])[:1]]
    return [blank | _object(number, item) for number, item in enumerate(value["objects"], start=1)]


def _object(number: int, item: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"object": number, **{key: item[key] for key in _COPIED if key in item}}
    row |= dict(zip(("x1", "y1", "x2", "y2"), item["box"], strict=True))
    if "mask" in item:
        row["pixels"] = int(coco.area(item["mask"]))
    return row


def to_table(scene: "Scene") -> Any:
    """Return the rows of a scene as a pandas table; see `Scene.to_table`."""
    try:
        import pandas
    except Exception as error:  # a broken installation raises more than ImportError
        raise OutputError(f"pandas: not installed, but a table needs it; run: {install_command('table')}") from error
    told = rows(scene.to_json())
    kinds = {int: "Int64", float: "float64", bool: "boolean", str: "string"}  # those that may be empty
    return pandas.DataFrame(told, columns=list(COLUMNS)).astype({name: kinds[kind] for name, kind in COLUMNS.items()})
