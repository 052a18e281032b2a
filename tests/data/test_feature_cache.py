"""The cache of features: no damaged byte is taken for features, and nothing goes that a living run uses."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from allsight.data.feature_cache import FeatureCache
from allsight.errors import TrainingError

TENSORS = {"0.c4": torch.arange(24.0).reshape(2, 3, 4), "0.c5": torch.ones(2, 2, dtype=torch.float16)}


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, 2**20)
    cache.write("ab12", TENSORS)
    path = cache.path("ab12")
    good = path.read_bytes()
    assert cache.intact("ab12") is True
    for place in range(len(good)):
        for bit in (1, 32):
            path.write_bytes(good[:place] + bytes([good[place] ^ bit]) + good[place + 1 :])
            if cache.intact("ab12"):  # white space between two words of the header, which says the same
                assert all(
                    torch.equal(t, TENSORS[n]) for n, t in zip(TENSORS, cache.read("ab12", list(TENSORS)), strict=True)
                )
    cache.write("ab12", TENSORS)
    assert path.read_bytes() == good


USER = """
import sys, time
from pathlib import Path
from allsight.data.feature_cache import FeatureCache
cache = FeatureCache(Path(sys.argv[1]), 2**30)
assert cache.intact(sys.argv[2])
print("here", flush=True)
time.sleep(600)
"""


def test_what_a_living_run_uses_is_not_removed_and_what_a_dead_one_used_is(tmp_path: Path) -> None:
    first = FeatureCache(tmp_path, 2**30)
    for age, key in enumerate(("aa00", "bb00")):
        size = first.write(key, TENSORS)
        os.utime(first.path(key), (age, age))
    with subprocess.Popen([sys.executable, "-c", USER, tmp_path, "aa00"], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline() == "here\n"
        os.utime(first.path("aa00"), (0, 0))  # the longest unused
        with pytest.raises(TrainingError, match="with what other runs use"):
            FeatureCache(tmp_path, size).make_room(1)
        FeatureCache(tmp_path, size).make_room(0)
        assert [first.path(key).exists() for key in ("aa00", "bb00")] == [True, False]
        run.kill()
        run.wait()
    deadline = time.monotonic() + 30
    while first.path("aa00").exists() and time.monotonic() < deadline:
        FeatureCache(tmp_path, size).make_room(1)
    assert not first.path("aa00").exists()
