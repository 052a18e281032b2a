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


@pytest.mark.parametrize("name", ["calibrate", "convert", "claims"])
def test_killed_at_every_step_nothing_is_lost(name):
    assert ", 0 faults" in run("kills.py", "--command", name)


def test_spoiled_files_are_told_in_one_line():
    assert ", 0 faults" in run("fuzz.py", "--minutes", 0, "--reader", "scene", "features", "recipe", "record", "plan")


@pytest.mark.slow
def test_kills_for_ten_minutes():
    assert ", 0 faults" in run("kills.py", "--minutes", 10)


@pytest.mark.slow
def test_spoiled_files_for_ten_minutes():
    assert ", 0 faults" in run("fuzz.py", "--minutes", 10)


BROKEN_READERS = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import fuzz
from allsight.errors import AllsightError

def refuses(folder):
    raise AllsightError("one line")

def crashes(folder):
    os.abort()

def raises(folder):
    raise KeyError("x")

def writes(folder):
    (folder.parent.parent.parent / "elsewhere").write_text("")

def takes_all_memory(folder):
    bytearray(3 * 2**30)

fuzz.SLOWEST, fuzz.TURN = 0.2, 3
make = lambda folder: (folder / "a").write_text("good")
readers = [refuses, crashes, raises, writes, takes_all_memory, lambda folder: time.sleep(9)]
fuzz.READERS = {str(i): fuzz.Reader(make, read) for i, read in enumerate(readers)}
found = fuzz.campaign(list(fuzz.READERS), 0, 0, print)
print([sum(fault["reader"] == name for fault in found["faults"]) for name in fuzz.READERS], found["cases"])
"""


def test_the_campaign_notices_a_reader_that_crashes_raises_writes_or_takes_too_much():
    command = [sys.executable, "-c", BROKEN_READERS, BENCHMARKS]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.stdout.splitlines()[-1] == "[0, 3, 3, 3, 3, 3] 18", done.stdout + done.stderr
