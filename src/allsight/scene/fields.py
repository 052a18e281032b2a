"""The table of what a `Scene` may say: one row a field. A new field is a row, and the rest of the house moves it.

A row says whether the field belongs to each instance, to each pixel or to the picture, its shape, how an affine map
carries it along, what stands in for it in a merge, and its form in JSON. By these rows alone a `Scene` checks, selects,
moves, joins, writes and reads its fields.
"""
# ruff: noqa: RUF009 - what the rows call gives dataclasses' own field(...)

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from allsight.scene.forms import Array, Column, Form, Located, Outlines, Runs, Texts, Vector, Vouching
from allsight.scene.geometry import (
    Carry,
    carry_area,
    carry_boxes,
    carry_flow,
    carry_keypoints,
    carry_map,
    carry_masks,
    carry_normals,
    mirror_keypoints,
)
from allsight.scene.masks import Masks
from allsight.scene.named_forms import Labels, Panoptic, Regions, RegionScores, Segments, Tags
from allsight.scene.trust import Trust
from allsight.scene.vocabulary import IGNORE, Vocabulary

Per = Literal["instance", "pixel", "picture"]
Side = int | Literal["height", "width"] | None  # None: any length


@dataclass(frozen=True)
class Row:
    """What the house knows of a field.

    Args:
        per: what the field belongs to.
        form: its JSON.
        shape: of the tensor, None for what is no tensor.
        dtype: of the tensor.
        carry: how an affine map carries the values along, None where it changes nothing.
        mirror: what a mirrored picture changes besides, given the scene and the values.
        blank: what stands in for the field of a scene that does not have it, when its instances are joined with others
            that do; None: the field is dropped.
    """

    per: Per
    form: Form
    shape: tuple[Side, ...] | None = None
    dtype: torch.dtype | None = None
    carry: Carry | None = None
    mirror: Callable[[Any, Any], Any] | None = None
    blank: Callable[[Any], Any] | None = None


def _instance(form: Form, *shape: Side, dtype: torch.dtype | None = torch.float32, **rest: Any) -> Any:
    return field(default=None, metadata={"row": Row("instance", form, (None, *shape), dtype, **rest)})


def _packed(form: Form, **rest: Any) -> Any:
    """A field of the instances that is no tensor, but has a length, takes an index and is joined by `cat`."""
    return field(default=None, metadata={"row": Row("instance", form, **rest)})


def _pixel(form: Form, *shape: Side, dtype: torch.dtype = torch.float32, carry: Carry = carry_map) -> Any:
    return field(default=None, metadata={"row": Row("pixel", form, (*shape, "height", "width"), dtype, carry)})


def _picture(form: Form, *shape: Side, dtype: torch.dtype | None = torch.float32) -> Any:
    return field(default=None, metadata={"row": Row("picture", form, shape or None, dtype)})


def _no(scene: "Fields") -> Tensor:
    return torch.zeros(len(scene), dtype=torch.bool)  # type: ignore[arg-type]  # every Scene has a length


def _blank_masks(scene: "Fields") -> Masks:
    return Masks.blank(len(scene), scene.size)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Fields:
    """The fields of a `Scene`, which says what they mean; those without a row are names for the numbers of others."""

    size: tuple[int, int]
    boxes: Tensor | None = _instance(Column("box", 2, empty=(0, 4)), 4, carry=carry_boxes)
    labels: Tensor | None = _instance(Labels(), dtype=torch.int64)
    scores: Tensor | None = _instance(Column("score", 4))
    crowd: Tensor | None = _instance(Column("crowd"), dtype=torch.bool, blank=_no)
    difficult: Tensor | None = _instance(Column("difficult"), dtype=torch.bool, blank=_no)
    area: Tensor | None = _instance(Column("area", 3), carry=carry_area)
    weak: Tensor | None = _instance(Located(), dtype=torch.bool, blank=_no)
    trust: Trust | None = _packed(Vouching())
    masks: Masks | None = _packed(Outlines(), carry=carry_masks, blank=_blank_masks)
    keypoints: Tensor | None = _instance(
        Column("keypoints", 2), None, 3, carry=carry_keypoints, mirror=mirror_keypoints
    )
    tracks: Tensor | None = _instance(Column("track"), dtype=torch.int64)
    box_embeddings: Tensor | None = _instance(Column("embedding", 6), None)
    actions: Tensor | None = _instance(Column("actions", 4), None)
    regions: Tensor | None = _pixel(Regions(), dtype=torch.int64, carry=partial(carry_map, outside=IGNORE))
    region_scores: Tensor | None = _pixel(RegionScores())
    panoptic: Tensor | None = _pixel(Panoptic(), dtype=torch.int64)
    segments: tuple[dict[str, Any], ...] | None = _picture(Segments(), dtype=None)
    tags: Tensor | None = _picture(Tags(), None)
    flow: Tensor | None = _pixel(Array("flow"), 2, carry=carry_flow)
    flow_valid: Tensor | None = _pixel(Runs("flow_valid"), dtype=torch.bool)
    depth: Tensor | None = _pixel(Array("depth"))
    normals: Tensor | None = _pixel(Array("normals"), 3, carry=carry_normals)
    embedding: Tensor | None = _picture(Vector("embedding", 6), None)
    captions: tuple[str, ...] | None = _picture(Texts("captions"), dtype=None)
    object_classes: Vocabulary | None = None
    region_classes: Vocabulary | None = None
    tag_classes: Vocabulary | None = None
    keypoint_classes: Vocabulary | None = None
    source: str | None = None


ROWS: dict[str, Row] = {f.name: f.metadata["row"] for f in fields(Fields) if "row" in f.metadata}
INSTANCE_FIELDS = tuple(name for name, row in ROWS.items() if row.per == "instance")
_OF: dict[Per | None, list[tuple[str, Row]]] = {  # the few of a kind, since to look at all of them takes microseconds
    per: [(name, row) for name, row in ROWS.items() if per in (None, row.per)]
    for per in (None, "instance", "pixel", "picture")
}


def rows_of(scene: Fields, per: Per | None = None) -> list[tuple[str, Row, Any]]:
    """Return name, row and value of every field that a scene has, of all kinds or of one."""
    values = vars(scene)
    return [(name, row, values[name]) for name, row in _OF[per] if values[name] is not None]
