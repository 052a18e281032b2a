"""Reading, writing and loading files of weights."""

import hashlib
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from allsight.errors import WeightsError, reason
from allsight.files import atomic


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a safetensors file or a torch pickle, on the CPU.

    A pickle is read with weights_only=True: it may hold tensors and plain containers, nothing in it is executed. A
    pickle that wraps its tensors under "state_dict" or "model" is unwrapped.

    Args:
        path: a file; its content decides which form it has, not its suffix.

    Returns:
        tensor by name.

    Raises:
        WeightsError: no such file, a folder, an empty or corrupt file, or a pickle that asks for code to be run.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); give a file of weights") from error
    if not start:
        raise WeightsError(f"{path}: is empty; fetch or write the weights again")
    # A safetensors file starts with the length of its JSON header in eight bytes; a pickle's ninth byte is no brace.
    return _read_safetensors(path) if start[8:] == b"{" or path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path}: corrupt safetensors file ({reason(error)}); fetch or write it again") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle's protocol; the outcome is said below
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not a plain file of weights, or one that would run code, and so not read; "
            "get the weights as safetensors from a source that you trust"
        ) from error
    except Exception as error:  # torch raises whatever a broken archive makes it stumble over
        raise WeightsError(f"{path}: corrupt file of weights ({reason(error)}); fetch it again") from error
    for key in ("state_dict", "model"):
        if isinstance(value, Mapping) and isinstance(value.get(key), Mapping):
            value = value[key]
    if not isinstance(value, Mapping) or not all(isinstance(item, Tensor) for item in value.values()):
        raise WeightsError(f"{path}: holds something other than named tensors; give a state dict")
    return dict(value)


def write_state(path: str | Path, state: Mapping[str, Tensor], half: bool = False) -> None:
    """Write named tensors as safetensors, whole or not at all.

    Args:
        path: the file to write.
        state: tensor by name; tensors that share memory are each written in full.
        half: store floating tensors as float16, half the size.

    Raises:
        OutputError: the file cannot be written; whatever stood there still stands.
    """
    tensors = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu()
        if half and tensor.is_floating_point():
            tensor = tensor.half()
        tensors[name] = tensor.contiguous().clone()
    with atomic(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors))


def load_state(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    source: str,
    rename: Mapping[str, str] | Callable[[str], str] | None = None,
    allow_missing: Sequence[str] = (),
) -> None:
    """Load named tensors into a module, all of them or none; float16 files go into float32 modules.

    Args:
        module: what to load into; its own dtypes stay.
        state: tensor by name.
        source: where the tensors come from, for the message.
        rename: from a name in `state` to the module's name; names that a mapping lacks stay.
        allow_missing: prefixes of the module's names that `state` may lack (parts that are not stored).

    Raises:
        WeightsError: the names or shapes are those of another architecture; the module is unchanged.
    """
    if rename is not None:
        new = rename if callable(rename) else lambda name: rename.get(name, name)
        state = {new(name): tensor for name, tensor in state.items()}
    own = module.state_dict()
    # Checkpoints from before torch 0.4.1 do not count batches, and nothing here uses the count.
    optional = ("num_batches_tracked",)
    missing = [
        name
        for name in own
        if name not in state and not name.endswith(optional) and not name.startswith(tuple(allow_missing))
    ]
    unexpected = [name for name in state if name not in own]
    misshaped = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    if any(faults.values()):
        found = ", ".join(f"{len(names)} {kind} (such as {names[0]})" for kind, names in faults.items() if names)
        raise WeightsError(
            f"{source}: a checkpoint of another architecture than {type(module).__name__}; tensors: {found}; "
            "give weights of this model"
        )
    module.load_state_dict(dict(state), strict=False)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
