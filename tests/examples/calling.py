"""Pictures to look at, and what came of a call."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def make_picture(path: Path, size: tuple[int, int] = (80, 60), seed: int = 0) -> Path:
    """Write a noisy picture of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


class Result:
    """Exit code, stdout and stderr of one call."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def one_line(self) -> str:
        """Return the only line on stderr."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "allsight", *map(str, words)]
