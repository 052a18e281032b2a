"""What the tests of the command line share: a small saved model, pictures, and a way to call the command."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "predict"))
from tiny_model import tiny_classifier, tiny_detector

from allsight.cli.main import main


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detector().save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier().save(tmp_path_factory.mktemp("models") / "tiny-classifier")


def make_picture(path: Path, size: tuple[int, int] = (80, 60), seed: int = 0) -> Path:
    """Write a noisy picture of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def picture() -> Callable[..., Path]:
    return make_picture


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


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Result]:
    """Call the command in a process of its own."""

    def run(*words: object, **settings: object) -> Result:
        done = subprocess.run(command(*words), cwd=tmp_path, capture_output=True, text=True, timeout=120, **settings)  # type: ignore[call-overload]
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def command(*words: object) -> list[str]:
    return [sys.executable, "-c", "import sys; from allsight.cli.main import main; sys.exit(main())", *map(str, words)]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
