"""What a training is judged by while it runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from math import isfinite
from typing import Literal

import torch
from torch import nn

from allsight.errors import TrainingError
from allsight.machine.processes import alone
from allsight.training.step import TrainingStep

Best = Literal["highest", "lowest"]
Place = Literal["device", "cpu"]


class Evaluation:
    """A measure, where it is computed, and which of two scores is the better.

    Args:
        measure: from a step's system to scores by name, the deciding one first.
        best: which of the first scores: the "highest" of an accuracy, the "lowest" of an error.
        on: "device" leaves the weights where they learn; "cpu" brings them home for a measure that works there.

    Raises:
        TrainingError: another word for best or on.
    """

    def __init__(self, measure: Callable[[nn.Module], Mapping[str, float]], best: Best, on: Place) -> None:
        if best not in ("highest", "lowest") or on not in ("device", "cpu"):
            raise TrainingError(f"best={best!r}, evaluate_on={on!r}: say highest or lowest, and device or cpu")
        self.measure, self.best, self.on = measure, best, on

    def __call__(self, step: TrainingStep) -> dict[str, float]:
        """Measure in this process alone, without gradients and in evaluation mode; the step trains on afterwards."""
        with alone(), _on_cpu(step) if self.on == "cpu" else nullcontext(), torch.no_grad():
            scores = {name: float(score) for name, score in self.measure(step.eval().system).items()}
        step.train()
        return scores

    def improves(self, score: float, before: float | None) -> bool:
        """Tell whether a score is finite and better than the best one before, if there was any."""
        if not isfinite(score) or before is None:
            return isfinite(score)
        return score > before if self.best == "highest" else score < before


@contextmanager
def _on_cpu(module: nn.Module) -> Iterator[None]:
    """Have the weights on the CPU while inside."""
    tensors = [*module.parameters(), *module.buffers()]
    away = [tensor.data for tensor in tensors]  # optimisers and averages know these very storages
    try:
        for tensor in tensors:
            tensor.data = tensor.data.cpu()
        yield
    finally:
        for tensor, data in zip(tensors, away, strict=True):
            tensor.data = data
