"""Runs that are broken off: what was seen is kept, and the next run goes on from there."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from calling import command, make_picture

from allsight.cli.seen import SeenFile, journal_of
from allsight.errors import OutputError


@pytest.fixture
def many(tmp_path) -> Path:
    for i in range(12):
        make_picture(tmp_path / "in" / f"{i:02}.png", (60, 50), seed=i)
    return tmp_path / "in"


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def break_off(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Stop the process's own run as Ctrl-C would, once so many pictures are written."""
    add = SeenFile.add

    def stopping(self: SeenFile, line: str) -> None:
        add(self, line)
        if self.count >= after:
            raise KeyboardInterrupt

    monkeypatch.setattr(SeenFile, "add", stopping)


def test_what_was_seen_is_kept_and_resume_goes_on(call, many, detector, tmp_path, monkeypatch):
    words = ("see", "in", "--model", detector, "--threshold", "0.4", "--csv")
    assert call(*words, "whole.csv", "--out", "whole").code == 0
    with monkeypatch.context() as patch:
        break_off(patch, after=5)
        stopped = call(*words, "part.csv", "--out", "part")
    assert stopped.code == 130
    assert "part/seen.jsonl keeps what was seen of 5 pictures" in stopped.err
    lines = (tmp_path / "part" / "seen.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines[1:]] == [f"in/{i:02}.png" for i in range(5)]
    assert not (tmp_path / "part" / "seen.json").exists() and not (tmp_path / "part.csv").exists()

    assert "--resume" in call(*words, "part.csv", "--out", "part").one_line()  # never lost by accident
    again = call(*words, "part.csv", "--out", "part", "--resume", "--count")
    assert again.code == 0
    assert "7 pictures in" in again.out and "5 had been seen before" in again.out
    assert "12 pictures" in again.out
    assert read(tmp_path / "part" / "seen.json") == read(tmp_path / "whole" / "seen.json")
    assert (tmp_path / "part.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert not (tmp_path / "part" / "seen.jsonl").exists()


def test_a_finished_run_takes_in_what_is_new(call, many, detector, tmp_path):
    assert call("see", "in", "--model", detector).code == 0
    before = read(tmp_path / "seen" / "seen.json")
    same = call("see", "in", "--model", detector, "--resume")
    assert same.code == 0 and "nothing new; 12 had been seen before" in same.out
    assert read(tmp_path / "seen" / "seen.json") == before
    make_picture(many / "new.png")
    assert call("see", "in", "--model", detector, "--resume", "--csv", "x.csv").code == 0
    after = read(tmp_path / "seen" / "seen.json")
    assert after["pictures"][:12] == before["pictures"] and after["pictures"][12]["path"] == "in/new.png"
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        assert len({row["path"] for row in csv.DictReader(file)}) == 13


def test_failed_pictures_are_tried_again(call, many, detector, tmp_path):
    (many / "99.png").write_bytes(b"no picture")
    assert call("see", "in", "--model", detector).code == 1
    assert len(read(tmp_path / "seen" / "seen.json")["failed"]) == 1
    make_picture(many / "99.png")
    assert call("see", "in", "--model", detector, "--resume").code == 0
    document = read(tmp_path / "seen" / "seen.json")
    assert len(document["pictures"]) == 13 and document["failed"] == []


@pytest.mark.parametrize("other", [("--threshold", "0.5"), ("--class", "dog"), ("--no-draw",)])
def test_a_run_goes_on_with_its_own_settings_only(other, call, many, detector, tmp_path):
    assert call("see", "in", "--model", detector, "--out", "x").code == 0
    before = (tmp_path / "x" / "seen.json").read_bytes()
    line = call("see", "in", "--model", detector, "--out", "x", "--resume", *other).one_line()
    assert f"without {other[0]}" in line
    assert (tmp_path / "x" / "seen.json").read_bytes() == before


def test_resume_without_anything_before_begins(call, many, detector, tmp_path):
    assert call("see", "in", "--model", detector, "--resume").code == 0
    assert len(read(tmp_path / "seen" / "seen.json")["pictures"]) == 12
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "00.jpg").write_text("mine")
    assert "exists already" in call("see", "in", "--model", detector, "--resume", "--out", "other").one_line()


def test_kill_9_keeps_what_was_seen(detector, many, tmp_path):
    for i in range(12, 600):
        os.link(many / "00.png", many / f"{i:03}.png")
    words = command("see", "in", "--model", detector, "--no-draw", "--runtime", "torch")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        journal = tmp_path / "seen" / "seen.jsonl"
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    kept = journal.read_bytes()
    assert kept.count(b"\n") > 5
    with journal.open("ab") as file:
        file.write(b'{"path": "in/00')  # a line that was broken off
    done = subprocess.run([*words, "--resume"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    document = read(tmp_path / "seen" / "seen.json")
    assert [picture["path"] for picture in document["pictures"]] == sorted(f"in/{path.name}" for path in many.iterdir())


def test_where_the_journal_stands(tmp_path):
    assert journal_of(Path("a/seen.json")) == Path("a/seen.jsonl")
    assert journal_of(Path("a/seen.jsonl")) == Path("a/seen.jsonl.jsonl")


def test_a_file_of_others_is_not_gone_on_with(tmp_path):
    for text in ("[1, 2]\n", "", '{"model": 3}\n', "x" * 100):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(OutputError, match=r"x\.json"):
            list(SeenFile(tmp_path / "x.json", "tiny").resume())
