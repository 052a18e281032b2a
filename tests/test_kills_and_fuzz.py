"""The campaigns against kills and damaged files: a little of them each time, ten minutes of each when asked."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *words: object) -> str:
    """Run a campaign in a process of its own, which forks: this one may hold threads."""
    command = [sys.executable, BENCHMARKS / script, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("name", ["calibrate", "calibrate --out", "convert", "split", "eval", "see", "claims"])
def test_killed_at_every_step_nothing_is_lost(name):
    assert "0 faults" in run("kills.py", "--command", name)


def test_a_run_that_replaces_another_and_is_killed_at_any_step_ends_as_one_of_them():
    assert "0 faults" in run("kills.py", "--command", "train --force")


def test_spoiled_files_are_told_in_one_line():
    assert "0 faults" in run("fuzz.py", "--minutes", 0, "--reader", "scene", "features", "recipe", "record", "plan")


@pytest.mark.slow
def test_kills_for_ten_minutes():
    assert ", 0 faults" in run("kills.py", "--minutes", 10)


@pytest.mark.slow
def test_spoiled_files_for_ten_minutes():
    assert ", 0 faults" in run("fuzz.py", "--minutes", 10)
