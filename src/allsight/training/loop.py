"""The training loop: handed a step, optimisers and data, it brings everything that is the same for all systems."""

import atexit
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer

from allsight.errors import OutputError, TrainingError
from allsight.ops.distributed import leave
from allsight.training.checkpoint import Checkpoints, load_weights
from allsight.training.ema import ExponentialMovingAverage
from allsight.training.interrupt import Interrupt
from allsight.training.loading import BatchLoader, TrainingData
from allsight.training.log import Log
from allsight.training.progress import ProgressBar
from allsight.training.randomness import mix
from allsight.training.sampler import EpochSampler
from allsight.training.schedule import scale_learning_rates, warmup_cosine
from allsight.training.step import TrainingStep
from allsight.training.update import Update


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


@dataclass
class _Position:
    """How far a run is: together with weights, averages and optimisers all that a checkpoint has to remember."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_step: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    sums: dict[str, Tensor] = field(default_factory=dict)
    summed: int = 0
    log_bytes: int = 0
    seconds: float = 0.0

    @property
    def score(self) -> float | None:
        return next(iter(self.scores.values()), None)


def fit(
    step: TrainingStep,
    optimizers: Mapping[str, Optimizer],
    data: TrainingData,
    *,
    config: FitConfig,
    out: str | Path,
    collate: Callable[[list], Any] | None = None,
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    resume: bool = False,
) -> FitResult:
    """Train, and leave the best weights in the step.

    Started by torchrun it trains in all processes together. Killed at any moment and called again with `resume` it goes on from
    its last checkpoint; on the CPU it ends with the same bits as a run that was never stopped. Ctrl-C saves a checkpoint first.

    Args:
        step: from a batch to its losses. A batch should have `names`, the files it is made of, for error messages, and
            `to(device, non_blocking)` unless it is a tensor, dict, list or named tuple.
        optimizers: by name, over the parameters of the step.
        data: examples by `Key`; see `TrainingData`.
        config: how long, how large, how often.
        out: folder of the run; gets `log.jsonl` and `checkpoints`.
        collate: from a list of examples to a batch; torch's own when not given.
        evaluate: called in the first process with the step's system, in evaluation mode, without gradients and with averaged weights if
            there are any; the first figure is the score that chooses the best weights, higher being better.
        resume: go on from the checkpoint in `out`, if there is one.

    Returns:
        the score and how it was come by.

    Raises:
        TrainingError: nothing to train on, or a loss that is not finite.
        WeightsError: a checkpoint that cannot be gone on from.
        OutputError: a folder that already holds a training, or cannot be written to.
        KeyboardInterrupt: after Ctrl-C, once the checkpoint is written.
    """
    run = _Run(step, optimizers, data, config, Path(out), collate, evaluate)
    if resume:
        run.restore()
    elif run.files.last.exists():
        raise OutputError(f"{out}: already holds a training; resume it, or choose another folder")
    at = run.at
    with run.interrupt, run.open_log(), run.progress():
        try:
            while at.epoch < config.epochs:
                run.sampler.set_epoch(at.epoch, at.batch)
                for parts in run.loader:
                    with run.interrupt.held():
                        run.advance(parts)
                run.evaluate_if_due()
                with run.interrupt.held():
                    at.epoch, at.batch = at.epoch + 1, 0
                    run.save_if_due()
        except KeyboardInterrupt:
            run.save()
            raise
        run.save()
    return run.finish()


class _Run:
    """Everything that belongs to one call of `fit`."""

    def __init__(
        self,
        step: TrainingStep,
        optimizers: Mapping[str, Optimizer],
        data: TrainingData,
        config: FitConfig,
        out: Path,
        collate: Callable[[list], Any] | None,
        evaluate: Callable[[nn.Module], Mapping[str, float]] | None,
    ) -> None:
        self.accelerator = accelerator = Accelerator(mixed_precision="no")
        atexit.register(leave)
        self.leads = accelerator.is_main_process
        self.config, self.out, self.evaluate = config, out, evaluate
        self.step, self.optimizers = step, optimizers
        self.sampler = EpochSampler(
            len(data),
            config.batch_size,
            seed=config.seed,
            rank=accelerator.process_index,
            ranks=accelerator.num_processes,
            accumulate=config.accumulate,
        )
        pin = accelerator.device.type == "cuda"
        self.loader = BatchLoader(data, self.sampler, collate, config.workers, pin)
        self.total = config.epochs * self.sampler.batches
        self.files = Checkpoints(out / "checkpoints")
        self.at = _Position()
        self.interrupt = Interrupt(self.leads)
        self.memory_format(torch.channels_last if config.channels_last else torch.contiguous_format)
        self.update = Update(
            accelerator.prepare_model(step.train()), optimizers, accelerator, config.precision, config.clip_norm
        )
        self.ema = ExponentialMovingAverage(step, config.ema_decay) if config.ema_decay is not None else None
        self.examples = len(data)
        self.saved = self.marked = time.monotonic()
