"""Settings that recipes for regions share. Imports no torch, so that help stays fast."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from allsight.recipes.common.ranges import Within
from allsight.recipes.common.settings import DenseSettings, Described, OnTrunk

LossName = Literal["cross_entropy", "weighted", "dice", "relaxed"]


@dataclass(frozen=True, kw_only=True)
class RegionSettings(Described, OnTrunk, DenseSettings):
    """How a segmenter is trained and described."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = field(kw_only=False)
    """Pictures with label maps, or with outlines of objects, in any form that `allsight check` reads."""
    hold_out: str = ""
    """Judge by the pictures whose names begin so, learn from all others, whatever the splits (leave one drive out)."""
    freeze_until: str = ""
    """Last stage of the trunk that does not learn until the Lovasz loss joins; "c5" freezes all of it, "" none."""
    loss: LossName = "cross_entropy"
    """weighted: by median frequency, for rare classes. dice: with cross-entropy. relaxed: either class at borders."""
    lovasz_epochs: Annotated[int, Within(0)] = 0
    """Times that the data are gone through afterwards, with the Lovasz loss added and a third of the rate."""
    lovasz_weight: Annotated[float, Within(0, 100)] = 1.0
    """Of the Lovasz loss beside the other one; 0 leaves it out and changes nothing else, to be compared with."""
    jitter: Annotated[float, Within(0, 1000)] = 0.0
    """Pixels by which borders in the label maps to learn from are moved at random, to see what careless ones cost."""
    longest: int = 480
    crop: float = 0.8
    epochs: int = 80
    trunk_rate: float = 0.25
    weight_decay: float = 0.05
    scale: tuple[float, float] = (0.75, 1.75)
    held_out: float = 0.2
    """Share of the pictures that are set aside where the data have no val split; drawn by the seed."""
    title: str = "Segmenter"
