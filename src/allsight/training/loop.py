"""The training loop: handed a step, optimisers and data, it brings everything that is the same for all systems."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from allsight.errors import OutputError
from allsight.training.config import FitConfig, FitResult
from allsight.training.loading import TrainingData
from allsight.training.run import Run
from allsight.training.step import TrainingStep


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

    Started by torchrun it trains in all processes together. Killed at any moment and called again with `resume` it goes
    on from its last checkpoint; on the CPU it ends with the same bits as a run that was never stopped. Ctrl-C saves a
    checkpoint first.

    Args:
        step: from a batch to its losses. A batch should have `names`, the files it is made of, for error messages, and
            `to(device, non_blocking)` unless it is a tensor, dict, list or named tuple.
        optimizers: by name, over the parameters of the step.
        data: examples by `Key`; see `TrainingData`.
        config: how long, how large, how often.
        out: folder of the run; gets `log.jsonl` and `checkpoints`.
        collate: from a list of examples to a batch; torch's own when not given.
        evaluate: called in the first process with the step's system, in evaluation mode, without gradients and with
            averaged weights if there are any; the first figure is the score that chooses the best weights, higher being
            better.
        resume: go on from the checkpoint in `out`, if there is one.

    Returns:
        the score and how it was come by.

    Raises:
        TrainingError: nothing to train on, or a loss that is not finite.
        WeightsError: a checkpoint that cannot be gone on from.
        OutputError: a folder that already holds a training, or cannot be written to.
        KeyboardInterrupt: after Ctrl-C, once the checkpoint is written.
    """
    run = Run(step, optimizers, data, config, Path(out), collate, evaluate)
    if resume:
        run.restore()
    elif run.files.last.exists():
        raise OutputError(f"{out}: already holds a training; resume it, or choose another folder")
    at = run.at
    with run.interrupt, run.open_log(), run.open_progress():
        try:
            while at.epoch < config.epochs:
                run.sampler.set_epoch(at.epoch, at.batch)
                for parts in run.loader:
                    with run.interrupt.held():
                        run.advance(parts)
                scores = run.evaluate()
                with run.interrupt.held():
                    run.end_epoch(scores)
        except KeyboardInterrupt:
            run.save()
            raise
        run.save()
    return run.finish()
