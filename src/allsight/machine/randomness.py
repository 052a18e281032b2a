"""Random numbers that are a function of keys, never of a worker or of what was drawn before."""

import numpy as np
import torch


def mix(seed: int, *keys: int) -> int:
    """Hash a seed and any number of keys into one well-mixed seed.

    Args:
        seed: 0 or more.
        keys: each 0 or more, such as epoch and index; another number of keys gives another stream.

    Returns:
        an integer in [0, 2^63).

    Source: numpy.random.SeedSequence (O'Neill 2015, "Developing a seed_seq alternative").
    """
    entropy = np.random.SeedSequence([len(keys), seed, *keys])
    return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(seed: int, *keys: int) -> torch.Generator:
    """Make a generator that depends on a seed and keys alone.

    Args:
        seed: 0 or more.
        keys: each 0 or more, such as epoch and index.

    Returns:
        a CPU generator of its own; torch's global generator stays as it was.
    """
    return torch.Generator().manual_seed(mix(seed, *keys))


def seed_device(device: torch.device, seed: int) -> None:
    """Set what dropout and whatever else draws from torch's global generators begins with.

    Args:
        device: that is computed on.
        seed: 0 or more.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)  # torch.manual_seed formats a stack trace for each absent device
    else:
        torch.manual_seed(seed)
