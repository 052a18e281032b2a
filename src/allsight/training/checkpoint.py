"""Checkpoints that appear whole or not at all, and say clearly when they do not fit."""

import io
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allsight.errors import TrainingError, WeightsError
from allsight.files import atomic

_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.Size, torch.dtype, torch.device)


class Checkpoints:
    """The two checkpoints of a run: `last.pt`, all that is needed to go on, and `best.pt`, the weights that scored
    best.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last, self.best = folder / "last.pt", folder / "best.pt"

    def clear_leavings(self) -> None:
        """Remove half-written files of a process that was killed."""
        for path in self.folder.glob(".*.part.pt"):
            path.unlink(missing_ok=True)

    def save(self, path: Path, state: Mapping[str, Any]) -> None:
        """Write a checkpoint in place of the old one.

        Args:
            path: `last` or `best`.
            state: tensors, numbers, text, and lists and dicts of them.

        Raises:
            OutputError: it cannot be written, for a full disk say; the old one still stands.
            TrainingError: something else is among them, which `load` would refuse.
        """
        for where, value in _foreign(state):
            raise TrainingError(
                f"{where} is of type {type(value).__module__}.{type(value).__name__}; a checkpoint takes tensors, "
                "plain numbers, text, and lists and dicts of them"
            )
        with atomic(path) as temporary:
            # torch's own writer reports a full disk as a RuntimeError without the cause, a plain file as an OSError
            memory = io.BytesIO()
            torch.save(dict(state), memory)
            temporary.write_bytes(memory.getbuffer())

    def load(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint; never runs code that it may hold.

        Args:
            path: `last` or `best`.

        Raises:
            WeightsError: it cannot be read.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise WeightsError(f"{path}: there is no such checkpoint") from error
        except Exception as error:  # the unpickler, the zip reader and the storage reader each have errors of their own
            raise WeightsError(f"{path}: is damaged or no checkpoint; delete it and train again") from error
        if not isinstance(state, dict) or "config" not in state:
            raise WeightsError(f"{path}: is no checkpoint of allsight; choose the run's folder")
        return state


def _foreign(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Find what could be written into a checkpoint and not be read again without running code."""
    if type(value) in (dict, OrderedDict):
        for name, inner in value.items():
            yield from _foreign(inner, f"{where}/{name}" if where else str(name))
    elif type(value) in (list, tuple, set):
        for number, inner in enumerate(value):
            yield from _foreign(inner, f"{where}/{number}")
    elif not isinstance(value, Tensor) and type(value) not in _PLAIN:
        yield where, value


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put a checkpoint's weights into a module.

    Args:
        module: what they were saved from, or its like.
        weights: a state dict.
        path: named in the message.

    Raises:
        WeightsError: they belong to another architecture.
    """
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in weights]
    problems += [f"{name} is unknown" for name in weights if name not in own]
    problems += [
        f"{name} is {tuple(weights[name].shape)} and should be {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise WeightsError(
            f"{path}: belongs to another architecture ({problems[0]}{more}); build the model it was made with"
        )
    module.load_state_dict(weights)
