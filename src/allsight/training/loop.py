"""The training loop: handed a step, optimisers and data, it brings everything that is the same for all systems."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn
from torch.optim import Optimizer

from allsight.training.config import FitConfig, FitResult
from allsight.training.evaluation import Best, Evaluation, Place
from allsight.training.loading import TrainingData
from allsight.training.record import Stateful
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
    evaluate_on: Place = "device",
    best: Best = "highest",
    state: Mapping[str, Stateful] = MappingProxyType({}),
    resume: bool = False,
) -> FitResult:
    """Train, and leave the best weights in the step.

    Started by torchrun it trains in all processes together. Killed at any moment and called again with `resume` it goes
    on from its last checkpoint; on the CPU it ends with the same bits as a run that was never stopped. Ctrl-C saves a
    checkpoint first.

    Args:
        step: from a batch to its losses. A batch should have `names`, the files it is made of, for error messages, and
            `to(device, non_blocking)` unless it is a tensor, dict, list or named tuple.
        optimizers: over the parameters of the step, each by the name of the turn that it makes; one alone, for the
            single turn of an ordinary step, may be called anything.
        data: examples by `Key`; see `TrainingData`.
        config: how long, how large, how often.
        out: folder of the run; gets `log.jsonl` and `checkpoints`.
        collate: from a list of examples to a batch; torch's own when not given.
        evaluate: called in the first process with the step's system, in evaluation mode, without gradients and with
            averaged weights if there are any; the first figure is the score that chooses the best weights.
        evaluate_on: the training's "device", or the "cpu" for a measure that works there.
        best: which of these scores, the "highest" or the "lowest".
        state: by name, what else the step moves: a queue, a replay, a pool. Saved and taken up again with the weights;
            it says by itself on which device it belongs.
        resume: go on from the checkpoint in `out`, if there is one.

    Returns:
        the score and how it was come by.

    Raises:
        TrainingError: nothing to train on, an optimiser without a turn or a turn without an optimiser, a loss that is
            not finite, or state that no checkpoint can hold.
        WeightsError: a checkpoint that cannot be gone on from.
        OutputError: a folder that already holds a training, or cannot be written to.
        KeyboardInterrupt: after Ctrl-C, once the checkpoint is written.
    """
    evaluation = None if evaluate is None else Evaluation(evaluate, best, evaluate_on)
    run = Run(step, optimizers, data, config, Path(out), collate, evaluation, state)
    record = run.record
    record.begin(resume, run.restore)
    with record.kept(run.contents):
        while run.at.epoch < config.epochs:
            run.sampler.set_epoch(run.at.epoch, run.at.batch)
            for parts in run.loader:
                with record.interrupt.held():
                    run.advance(parts)
            scores = run.evaluate()
            with record.interrupt.held():
                run.end_epoch(scores)
    return run.finish()
