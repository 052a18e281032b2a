"""One process at a time writes in a folder; a dead one's lock holds nobody up, and its half-written files go."""

import json
import os
import subprocess
import sys
import time

import pytest

from allsight.errors import OutputError
from allsight.files import locked
from allsight.files.lock import LOCK
from allsight.files.owner import alive, this_process

HOLDER = """
import sys, time
from allsight.files import locked
with locked(sys.argv[1]):
    open(sys.argv[1] + "/.a.%d.part.txt" % __import__("os").getpid(), "w").write("half")
    print("here", flush=True)
    time.sleep(600)
"""


def test_the_second_is_said_who_holds_it_and_a_dead_one_holds_nothing(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "here\n"
        with pytest.raises(OutputError, match=f"process {holder.pid} on .* is writing there"), locked(folder):
            pass
        holder.kill()
        holder.wait()
    with locked(folder), locked(folder):
        assert [path.name for path in folder.iterdir()] == [LOCK]  # what was half-written is gone
        assert json.loads((folder / LOCK).read_text())["pid"] == os.getpid()
    assert list(folder.iterdir()) == []


def test_a_process_that_waits_gets_it(tmp_path):
    short = HOLDER.replace("sleep(600)", "sleep(0.5)")
    with subprocess.Popen([sys.executable, "-c", short, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "here\n"
        with locked(tmp_path, wait=60):
            assert holder.wait() == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_lock_that_says_nothing_holds_nobody_up(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_processes_are_used_again(tmp_path):
    other = this_process()._replace(pid=os.getppid(), began="0")
    if not this_process().began:
        pytest.skip("the system does not say when a process began")
    (tmp_path / LOCK).write_text(json.dumps(other._asdict()))
    with locked(tmp_path):
        pass


def test_another_machine_is_asked_for_in_words(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "elsewhere", "began": ""}))
    with pytest.raises(OutputError, match=r"process 1 on elsewhere .*delete .*\.lock"), locked(tmp_path):
        pass


def test_of_many_at_once_one_is_inside(tmp_path):
    code = """
import os, sys, time
from allsight.files import locked
for _ in range(20):
    with locked(sys.argv[1], wait=60):
        os.close(os.open(sys.argv[1] + "/alone", os.O_CREAT | os.O_EXCL))
        time.sleep(0.001)
        os.unlink(sys.argv[1] + "/alone")
"""
    several = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(4)]
    assert [each.wait() for each in several] == [0] * 4


def test_a_folder_that_was_made_for_it_goes_with_it(tmp_path):
    with locked(tmp_path / "a" / "b"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_lives():
    assert alive(os.getpid()) and not alive(0) and not alive(-1) and not alive(2**40)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        deadline = time.monotonic() + 60
        while alive(ended.pid) and time.monotonic() < deadline:  # not waited for: it is a zombie at last
            time.sleep(0.01)
        assert not alive(ended.pid)
    assert this_process().lives()
