"""Settings that several recipes share. Imports no torch, so that help stays fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class ObjectSettings:
    """How a detector is trained and described."""

    data: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATA ...")]
    """Annotated pictures in any form that `allsight check` reads; several are joined."""
    freeze_until: str = "c2"
    """Last stage of the trunk that is not trained; "c5" freezes all of it, "" none of it."""
    longest: int = 384
    """Pixels of a picture's longer side in the model."""
    epochs: int = 40
    """Times that the data are gone through."""
    batch_size: int = 8
    """Pictures a step."""
    learning_rate: float = 2e-3
    """Of pyramid and head (AdamW)."""
    trunk_rate: float = 0.1
    """Factor on the learning rate for the trunk."""
    weight_decay: float = 0.02
    """Of AdamW."""
    scale: tuple[float, float] = (0.7, 1.4)
    """Least and greatest random scale of a picture."""
    ema_decay: float = 0.99
    """Of the averaged weights, which are what is kept."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass in training."""
    evaluate_every: int = 10
    """Epochs between evaluations; the best weights are kept."""
    seed: int = 0
    """Of initial weights, order and augmentation."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; no influence on the result."""
    title: str = "Detector"
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "not stated"
    """Licence of the weights, which follows from the data's."""
