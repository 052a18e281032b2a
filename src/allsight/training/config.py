"""How a training is asked for, and what it answers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FitConfig:
    """How long, how large, how often.

    Args:
        epochs: times that the data are gone through.
        batch_size: examples of one optimiser step, over all processes and accumulated parts: the training is the same
            however it is shared out.
        accumulate: parts that each process's share of a batch is computed in, where memory is short.
        precision: "bfloat16" computes in it where that is safe; weights and optimiser stay float32.
        clip_norm: longest gradient.
        warmup: steps of the rise to the full learning rate; a cosine follows, down to nothing at the end.
        ema_decay: of the averaged weights that are evaluated and kept; without it the weights themselves are.
        seed: of order, dropout and whatever the step draws.
        workers: processes that prepare batches; 0 for a thread. No influence on the result.
        evaluate_every: epochs between evaluations; the last epoch is always evaluated.
        log_every: steps between lines of the log.
        checkpoint_seconds: least time between checkpoints. No influence on the result.
        channels_last: order in memory that most convolutions are faster in.
        tensorboard: write its events too.
    """

    epochs: int
    batch_size: int = 16
    accumulate: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    clip_norm: float | None = None
    warmup: int = 0
    ema_decay: float | None = None
    seed: int = 0
    workers: int = 0
    evaluate_every: int = 1
    log_every: int = 20
    checkpoint_seconds: float = 60.0
    channels_last: bool = True
    tensorboard: bool = False


@dataclass(frozen=True)
class FitResult:
    """What came out; the step holds the weights that go with it.

    Args:
        steps: optimiser steps made.
        score: the best one, None where nothing was evaluated.
        best_step: step at which it was reached.
        scores: all figures of that evaluation.
        seconds: of training, over all resumptions.
    """

    steps: int
    score: float | None
    best_step: int
    scores: dict[str, float]
    seconds: float
