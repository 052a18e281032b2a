"""One step of learning as a module, and the parameters that it moves."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from allsight.errors import TrainingError


class TrainingStep(nn.Module):
    """A system whose forward is its loss.

    This is what the loop calls and what DistributedDataParallel wraps: it synchronises gradients only of what passes
    through the wrapper's forward. A system that needs another step subclasses this: other losses in `forward`, several
    `turns` with an optimiser each, or something that moves `after` the optimisers.

    Args:
        system: a module with `loss(batch) -> dict[str, Tensor]`. Every batch must give the same names.

    Attributes:
        turns: what is done with each batch, in this order: losses, gradients, and the step of the optimiser that has
            the turn's name. A generator and its critic, who pull the other way, have two.
    """

    turns: ClassVar[tuple[str, ...]] = ("all",)

    def __init__(self, system: nn.Module) -> None:
        super().__init__()
        self.system = system

    def forward(self, batch: Any, turn: str) -> dict[str, Tensor]:
        """Give the named losses of a batch.

        Args:
            batch: what `collate` made.
            turn: one of `turns`; the only one here.

        Returns:
            scalars, whose sum the turn's optimiser lessens.
        """
        return self.system.loss(batch)  # type: ignore[operator]

    def after(self) -> None:
        """Move what no optimiser does: momentum twins, queues, target nets.

        Called without gradients, once a batch, after its last turn.
        """


def parameter_groups(
    module: nn.Module, learning_rate: float, weight_decay: float = 0.0, multipliers: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Sort the learnable parameters of a module into groups for an optimiser.

    Biases and the scales of norms (everything with fewer than two dimensions) get no weight decay; frozen parameters
    are left out.

    Args:
        module: what is to learn.
        learning_rate: of whatever no prefix names.
        weight_decay: of the weights proper.
        multipliers: from a prefix of parameter names to a factor on the learning rate; the longest prefix that fits
            decides.

    Returns:
        groups with `params`, `lr` and `weight_decay`.

    Raises:
        TrainingError: nothing can learn, or a prefix fits no parameter.

    Source: no decay on biases and norms: He et al. 2019, "Bag of tricks for image classification", section 3.1.
    """
    factors = dict(multipliers or {})
    names = [name for name, _ in module.named_parameters()]
    if unknown := [prefix for prefix in factors if not any(name.startswith(prefix) for name in names)]:
        raise TrainingError(f"no parameter's name begins with {', '.join(map(repr, unknown))}; correct the multipliers")
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            prefix = max((prefix for prefix in factors if name.startswith(prefix)), key=len, default=None)
            rate = learning_rate * (1.0 if prefix is None else factors[prefix])
            decay = weight_decay if parameter.ndim >= 2 else 0.0
            group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
            group["params"].append(parameter)
    if not groups:
        raise TrainingError("every parameter is frozen; there is nothing to train")
    return list(groups.values())
