"""One batch, one step of each optimiser: losses, gradients, a look at whether they are finite, the move."""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from math import isfinite
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from allsight.errors import TrainingError
from allsight.machine.processes import average_over_ranks


def pair(turns: Sequence[str], optimizers: Mapping[str, Optimizer]) -> dict[str, Optimizer]:
    """Give each turn its optimiser: the one of its name.

    The single turn "all" takes a sole optimiser of any name.

    Args:
        turns: of a TrainingStep, in their order.
        optimizers: by name.

    Returns:
        optimiser by turn, in the turns' order.

    Raises:
        TrainingError: a turn has no optimiser or comes twice, or an optimiser has no turn.
    """
    if tuple(turns) == ("all",) and len(optimizers) == 1:
        return {"all": next(iter(optimizers.values()))}
    if not turns or sorted(turns) != sorted(optimizers):
        raise TrainingError(
            f"the step has the turns ({', '.join(turns)}) and the optimisers are ({', '.join(optimizers)}); "
            "give each turn an optimiser of its name, and each optimiser a turn in TrainingStep.turns"
        )
    return {turn: optimizers[turn] for turn in turns}


class Update:
    """What one batch does to the weights: each turn's losses, gradients, and the step of the turn's optimiser.

    Args:
        model: a TrainingStep, prepared by the accelerator.
        turns: optimiser by turn, in the turns' order.
        accelerator: knows the device and how to hold gradient exchange back.
        precision: `bfloat16` computes forward in it where that is safe (autocast); weights stay float32.
        clip_norm: a turn's gradients longer than this, all of its optimiser's together, are shortened to it.
    """

    def __init__(
        self,
        model: nn.Module,
        turns: Mapping[str, Optimizer],
        accelerator: Accelerator,
        precision: str = "float32",
        clip_norm: float | None = None,
    ) -> None:
        self.model, self.turns, self.accelerator = model, turns, accelerator
        self.clip_norm = clip_norm
        self.cast = precision == "bfloat16"
        self.finite = FiniteWatch()
        self.own = {
            turn: [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for turn, optimizer in turns.items()
        }
        self.parameters = list(dict.fromkeys(itertools.chain(model.parameters(), *self.own.values())))

    def __call__(self, parts: list[Any]) -> dict[str, Tensor]:
        """Take every turn on the mean loss of the parts of a batch.

        Args:
            parts: batches; all but the last leave the gradients unsynchronised over processes.

        Returns:
            the named losses, as turn/name where there are several turns, and the sum of all as `loss`: means over parts
            and processes, on the device, not waited for.

        Raises:
            TrainingError: loss or gradients are not finite. On the CPU the weights are then as the turn before left
                them; on an accelerator the news arrives a step late, and the checkpoint before it is the one to go on
                from.
        """
        losses: dict[str, Tensor] = {}
        totals = []
        for turn in self.turns:
            terms, total = self._take(turn, parts)
            losses |= terms if len(self.turns) == 1 else {f"{turn}/{name}": loss for name, loss in terms.items()}
            totals.append(total)
        return losses | {"loss": totals[0] if len(totals) == 1 else torch.stack(totals).sum()}

    def _take(self, turn: str, parts: list[Any]) -> tuple[dict[str, Tensor], Tensor]:
        """Make the step of one turn; return its losses and their sum."""
        own = self.own[turn]
        terms = [self._backward(turn, part, len(parts), last=part is parts[-1]) for part in parts]
        sums = [total for _, total in terms]
        rows = [torch.stack([*losses.values(), total]) for losses, total in terms]
        *means, mean = average_over_ranks(torch.stack(rows).mean(0)).unbind()
        norm = get_total_norm([parameter.grad for parameter in own if parameter.grad is not None])
        self.finite.look(torch.stack([mean, norm.float(), *sums]), [getattr(part, "names", ()) for part in parts])
        if self.clip_norm is not None:
            clip_grads_with_norm_(own, self.clip_norm, norm)
        self.turns[turn].step()
        for parameter in self.parameters:  # those of the other turns too, which this one's losses went through
            parameter.grad = None
        return dict(zip(terms[0][0], means, strict=True)), mean

    def _backward(self, turn: str, part: Any, parts: int, last: bool) -> tuple[dict[str, Tensor], Tensor]:
        device = self.accelerator.device
        hold_back = nullcontext() if last else self.accelerator.no_sync(self.model)
        with hold_back:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.cast):
                losses = self.model(send_to_device(part, device, non_blocking=True), turn)
            total = torch.stack([loss.float() for loss in losses.values()]).sum()
            self.accelerator.backward(total / parts)
        return {name: loss.detach().float() for name, loss in losses.items()}, total.detach()


class FiniteWatch:
    """Stops a training whose loss or gradients are not finite, without making the host wait for a GPU.

    On the CPU values are there at once. From a GPU they are copied while the next step is computed, and looked at when
    that step has been queued; `settle` looks at once, before anything is saved.
    """

    def __init__(self) -> None:
        self.pending: tuple[Tensor, torch.cuda.Event | None, list[Sequence[str]]] | None = None

    def look(self, values: Tensor, names: list[Sequence[str]]) -> None:
        """Examine a step.

        Args:
            values: (2 + P,) the global loss, the gradients' norm, and the loss of each of this process's P parts.
            names: of the files in each part.
        """
        self.settle()
        asynchronous = values.device.type == "cuda"
        values = values.to("cpu", non_blocking=asynchronous)
        event = torch.cuda.Event() if asynchronous else None
        if event:
            event.record()
        self.pending = values, event, names
        if not asynchronous:
            self.settle()

    def settle(self) -> None:
        """Examine what is still under way.

        Raises:
            TrainingError: naming the files of the parts whose own loss is not finite; of all parts where only the
                gradient is not.
        """
        if self.pending is None:
            return
        (values, event, names), self.pending = self.pending, None
        if event:
            event.synchronize()
        loss, norm, *own = values.tolist()
        if isfinite(loss) and isfinite(norm):
            return
        guilty = [part for part, value in zip(names, own, strict=True) if not isfinite(value)]
        if not isfinite(loss) and not guilty:
            raise TrainingError("the loss is not finite in another process, which names the files")
        what = "the gradient" if isfinite(loss) else "the loss"
        files = ", ".join(str(name) for part in guilty or names for name in part) or "a batch without names"
        raise TrainingError(
            f"{what} is not finite on {files}; run `allsight check` on the data or lower the learning rate"
        )
