"""Settings that recipes of detectors share. Imports no torch, so that help stays fast."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from allsight.recipes.common.ranges import Within
from allsight.recipes.common.settings import DenseSettings, Described, OnTrunk


@dataclass(frozen=True, kw_only=True)
class ObjectSettings(Described, DenseSettings):
    """How a detector is trained and described."""

    data: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATA ...", help_behavior_hint="")
    ] = field(kw_only=False)
    """Annotated pictures in any form that `allsight check` reads; several are joined."""
    freeze_until: str = "c2"
    turned: bool = False
    """Learn from pictures turned by quarters too: those of microscopes have no up and down."""
    frozen_batch: Annotated[int, Within(1, 4096)] = 4
    """Pictures a step with --frozen: small, as it is the number of steps that counts where they are few."""
    frozen_rate: Annotated[float, Within(0, 100)] = 1e-2
    """Of pyramid and head with --frozen (AdamW): high, for the same reason."""
    frozen_scale: Annotated[tuple[float, float], Within(0.01, 100)] = (0.8, 1.25)
    """Least and greatest scale of a view with --frozen."""
    title: str = "Detector"

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned, and decide."""
        return False


@dataclass(frozen=True, kw_only=True)
class DetectorSettings(OnTrunk, ObjectSettings):
    """A detector on any trunk."""
