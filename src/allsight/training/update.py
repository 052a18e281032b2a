"""One optimiser step: losses, gradients, a look at whether they are finite, the move."""

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


class Update:
    """What one step does to the weights.

    Args:
        model: a TrainingStep, prepared by the accelerator.
        optimizers: all of them move at every step.
        accelerator: knows the device and how to hold gradient exchange back.
        precision: `bfloat16` computes forward in it where that is safe (autocast); weights stay float32.
        clip_norm: gradients longer than this, all together, are shortened to it.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Mapping[str, Optimizer],
        accelerator: Accelerator,
        precision: str = "float32",
        clip_norm: float | None = None,
    ) -> None:
        self.model, self.optimizers, self.accelerator = model, optimizers, accelerator
        self.clip_norm = clip_norm
        self.cast = precision == "bfloat16"
        self.finite = FiniteWatch()
        groups = (group for optimizer in optimizers.values() for group in optimizer.param_groups)
        self.parameters = [parameter for group in groups for parameter in group["params"]]

    def __call__(self, parts: list[Any]) -> dict[str, Tensor]:
        """Make a step on the mean loss of the parts of a batch.

        Args:
            parts: batches; all but the last leave the gradients unsynchronised over processes.

        Returns:
            the named losses and their sum as `loss`: means over parts and processes, on the device, not waited for.

        Raises:
            TrainingError: loss or gradients are not finite. On the CPU the weights are then untouched; on an
                accelerator the news arrives a step late, and the checkpoint before it is the one to go on from.
        """
        terms = [self._backward(part, len(parts), last=part is parts[-1]) for part in parts]
        names = list(terms[0])
        losses = average_over_ranks(torch.stack([torch.stack(list(t.values())) for t in terms]).mean(0))
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = get_total_norm(gradients)
        own = [part_terms["loss"] for part_terms in terms]
        self.finite.look(torch.stack([losses[-1], norm.float(), *own]), [getattr(part, "names", ()) for part in parts])
        if self.clip_norm is not None:
            clip_grads_with_norm_(self.parameters, self.clip_norm, norm)
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return dict(zip(names, losses.unbind(), strict=True))

    def _backward(self, part: Any, parts: int, last: bool) -> dict[str, Tensor]:
        device = self.accelerator.device
        hold_back = nullcontext() if last else self.accelerator.no_sync(self.model)
        with hold_back:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.cast):
                losses = self.model(send_to_device(part, device, non_blocking=True))
            total = torch.stack([loss.float() for loss in losses.values()]).sum()
            self.accelerator.backward(total / parts)
        return {name: loss.detach().float() for name, loss in losses.items()} | {"loss": total.detach()}


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
