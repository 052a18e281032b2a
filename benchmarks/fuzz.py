"""Spoil good files and read them: every reader succeeds or says in one line what is wrong, in time and in memory.

Run it with `python benchmarks/fuzz.py [--minutes M] [--reader NAME ...] [--seed S] [--json PATH]`. Files are made by
code, so that each case is a number: `--reader NAME --case N` shows it again. Allowed are success and the project's own
errors of one line. A fault is any other exception, more than five seconds, more than a GiB, the end of the process
(a segmentation fault), or a file that is opened for writing outside of the case's folder. Readers run in processes of
their own, which a fault ends; the last line counts, the exit code is 1 if there was any.
"""

import argparse
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from allsight.errors import AllsightError
from allsight.files import write_json
from fuzz_mutations import spoiled
from fuzz_readers import READERS, Reader
from machine import machine

SLOWEST = 5.0  # seconds
MEMORY = 2**30  # bytes beyond what the process has when it begins
TURN = 400  # cases of one reader before it is the next one's turn


class TooSlow(BaseException):
    """A reader takes too long: no reader catches it."""


class Shared:
    """What the process that reads tells the one that watches: its case, and when that began."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 16)

    def begin(self, case: int) -> None:
        """Note that a case begins."""
        self.memory[:] = struct.pack("qd", case, time.monotonic())

    def read(self) -> tuple[int, float]:
        """Return the case and when it began."""
        case, begun = struct.unpack("qd", self.memory[:])
        return case, begun


def case_of(name: str, good: dict[Path, bytes], seed: int, number: int) -> tuple[Path, bytes]:
    """Return the file that a case spoils, and its spoiled content."""
    draw = random.Random(f"{name}/{seed}/{number}")
    path = draw.choice(sorted(good))
    return path, spoiled(good[path], draw)


def good_files(reader: Reader, folder: Path) -> dict[Path, bytes]:
    """Make the files of a reader and return those that are to be spoiled."""
    folder.mkdir(parents=True)
    reader.make(folder)
    paths = {path for pattern in reader.spoil for path in folder.glob(pattern) if path.is_file()}
    return {path: path.read_bytes() for path in paths}


def outcome(reader: Reader, folder: Path) -> str:
    """Read what lies in a folder; return what is wrong with the reader, or nothing."""
    signal.setitimer(signal.ITIMER_REAL, SLOWEST)
    try:
        reader.read(folder)
    except AllsightError as error:
        return "" if len(str(error).splitlines()) == 1 else f"an error of several lines: {error}"
    except TooSlow:
        return f"takes more than {SLOWEST:g} s\n{traceback.format_exc(limit=-4)}"
    except Exception:
        return traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def read_cases(name: str, folder: Path, cases: range, seed: int, shared: Shared, faults: Path) -> None:
    """In a process of its own: read case after case; a fault is written down, and the next case goes on."""

    def too_slow(number: int, frame: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, too_slow)
    reader = READERS[name]
    good = good_files(reader, folder)
    pristine = folder.with_name(f"{folder.name}.good")
    shutil.copytree(folder, pristine)
    outcome(reader, folder)  # what is imported late is imported now
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE if os.path.exists("/proc") else 0
    if taken:
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    elsewhere: list[str] = []
    watch_writing(folder, elsewhere)
    for number in cases:
        shared.begin(number)
        path, content = case_of(name, good, seed, number)
        if not all(each.exists() for each in good):  # a reader that may move files has
            shutil.rmtree(folder)
            shutil.copytree(pristine, folder)
        path.write_bytes(content)
        del elsewhere[:]
        wrong = outcome(reader, folder) or (f"writes elsewhere: {elsewhere[0]}" if elsewhere else "")
        if path.parent.is_dir():
            path.write_bytes(good[path])
        if wrong:
            with faults.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{number}\t{path.name}\t{wrong!r}\n")


def watch_writing(folder: Path, elsewhere: list[str]) -> None:
    """Note every file outside of a folder's parent that is opened for writing, removed or renamed from now on."""
    inside = str(folder.parent)

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = given
            writing = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else "w" in mode
        else:
            path, writing = (given or ("",))[0], event in ("os.remove", "os.rename", "os.rmdir", "os.mkdir")
            writing = writing and given[-1] == -1  # else it is a name in a folder that was looked into before
        if writing and isinstance(path, str | bytes | os.PathLike):
            place = os.path.abspath(os.fsdecode(path))
            if not place.startswith((inside, "/dev/", "/proc/", "/sys/")):
                elsewhere.append(f"{event} {place}")

    sys.addaudithook(watch)


def turn(name: str, home: Path, cases: range, seed: int) -> tuple[int, list[tuple[int, str]]]:
    """Read cases in a forked process, and in a further one from where a fault ended it; return count and faults."""
    shared, found, first = Shared(), [], cases.start
    while first < cases.stop:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home)) / "files"
        faults = folder.parent / "faults"
        shared.begin(first)
        child = os.fork()
        if not child:
            code = 1
            try:
                null = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(null, stream)
                read_cases(name, folder, range(first, cases.stop), seed, shared, faults)
                code = 0
            finally:
                os._exit(code)
        status = wait(child, shared)
        if faults.exists():
            for line in faults.read_text(encoding="utf-8").splitlines():
                number, file, wrong = line.split("\t", 2)
                found.append((int(number), f"{file}: {wrong}"))
        shutil.rmtree(folder.parent, ignore_errors=True)
        case, _ = shared.read()
        if status == 0:
            break
        found.append((case, f"the process ended with {status}"))
        first = case + 1
    return len(cases), found


def wait(child: int, shared: Shared) -> int:
    """Wait for a process, and kill it where not even an alarm stops a case."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - shared.read()[1] > 4 * SLOWEST:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def campaign(names: list[str], minutes: float, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Take turns until the minutes are over, each reader at least once; return the counts and the faults."""
    until, counts, faults = time.monotonic() + 60 * minutes, dict.fromkeys(names, 0), []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        while True:
            for name in names:
                cases = range(counts[name], counts[name] + TURN)
                number, found = turn(name, Path(home), cases, seed)
                counts[name] += number
                for case, what in found:
                    faults.append({"reader": name, "seed": seed, "case": case, "what": what})
                    say(f"{name}, case {case}: {what}")
                if time.monotonic() > until and all(counts.values()):
                    return {"cases": sum(counts.values()), "readers": counts, "faults": faults}


def show(name: str, seed: int, number: int) -> int:
    """Read one case in this process, with its traceback."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "files")
        path, content = case_of(name, good_files(READERS[name], folder), seed, number)
        path.write_bytes(content)
        print(f"{path.relative_to(folder)}:\n{content[:3000]!r}")
        READERS[name].read(folder)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--reader", nargs="*", default=list(READERS), choices=list(READERS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="show one case of one reader")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    if given.case is not None:
        return show(given.reader[0], given.seed, given.case)
    found = campaign(given.reader, given.minutes, given.seed, lambda line: print(line, flush=True))
    if given.json:
        figures = {"benchmark": "fuzz", "machine": machine(), "minutes": given.minutes, "seed": given.seed, **found}
        write_json(given.json, figures)
    print(f"{found['cases']:,} cases of {len(given.reader)} readers, {len(found['faults'])} faults")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    sys.exit(main())
