"""What the tests of the command line share: a small saved model, pictures, and a way to call the command."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import Result, command, make_picture
from tiny_model import tiny_classifier, tiny_detector

from allsight.cli.main import main


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detector().save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier().save(tmp_path_factory.mktemp("models") / "tiny-classifier")


@pytest.fixture
def picture() -> Callable[..., Path]:
    return make_picture


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


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
