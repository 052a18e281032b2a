"""Where torch computes."""

import torch

from allsight.errors import ModelError


def find_device(name: str) -> torch.device:
    """Return the device that a name stands for.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps", or "auto" for a GPU of CUDA where there is one.

    Raises:
        ModelError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).add_(1).item()  # what cannot compute, says so here
    except Exception as error:  # each backend has its own, and builds without it raise AssertionError
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise ModelError(f"--device {name}: cannot compute here; there are {', '.join(there)}") from error
    return device
