"""Kill every command before each of its renames and removals, and at random moments: nothing is lost, nothing mixed.

Run it with `python benchmarks/kills.py [--minutes M] [--command NAME ...] [--json PATH]`. After each kill a reader must
see what stood there before or what an unbroken run writes, whole; and the command, called again, must end as an
unbroken run does and leave nothing half-written behind. Kills before the n-th step come first, all of them; the rest
of the minutes goes to kills at random moments. Commands run in processes forked from this one, which has imported all
that they need, so that a trial takes a fraction of a second. The last line counts; the exit code is 1 if any failed.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from allsight.files import steps, write_json
from kill_cases import CASES, Case
from machine import machine

LONGEST = 120  # seconds that a command may take before it counts as hanging
FAULT = 99  # the exit code of a child that raised what no command may raise


class Ended(NamedTuple):
    """How a child process ended: its exit code, negative if it was killed, and what it printed."""

    code: int
    printed: str


def forked(work: Callable[[], int | None], folder: Path, *, kill_after: float | None = None) -> Ended:
    """Run something in a forked process, in a folder, and wait for it."""
    log = folder.parent / f"{folder.name}.log"
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()  # no terminal stops it
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        with open(log, "w", encoding="utf-8", errors="backslashreplace") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            code: int | None = FAULT
            try:
                os.chdir(folder)
                code = work()
            except BaseException:
                traceback.print_exc()
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code or 0)
    begun = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return Ended(os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8", errors="replace"))
        passed = time.monotonic() - begun
        if passed > LONGEST or (kill_after is not None and passed >= kill_after):
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def count_steps(then: Callable[[int], None]) -> None:
    """Call `then` with the number of each step, from 1, before it is taken."""
    number = 0

    def counted(act: Callable[..., None]) -> Callable[..., None]:
        def step(*places: Path) -> None:
            nonlocal number
            number += 1
            then(number)
            act(*places)

        return step

    steps.rename, steps.remove = counted(steps.rename), counted(steps.remove)


class Trial:
    """One command, prepared once, run whole once, and killed as often as wanted.

    Args:
        case: what is run. home: an empty folder for all that it needs.
    """

    def __init__(self, case: Case, home: Path) -> None:
        self.case, self.home = case, home
        self.prepared = home / "prepared"
        self.prepared.mkdir(parents=True)
        self.must(lambda: case.prepare(Path()), self.prepared)
        self.old = self.look(self.prepared)
        whole = self.copy("whole")
        begun = time.monotonic()
        self.steps = self.count(whole)
        self.seconds = time.monotonic() - begun
        self.new = self.look(whole)
        if self.old == self.new:
            raise AssertionError(f"{case.name}: writes nothing new")

    def must(self, work: Callable[[], int | None], folder: Path) -> None:
        """Do what has to succeed before anything can be killed."""
        ended = forked(work, folder)
        if ended.code:
            raise AssertionError(f"{self.case.name}: cannot be prepared\n{ended.printed}")

    def copy(self, name: str) -> Path:
        """Return a fresh copy of what was prepared."""
        folder = self.home / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.prepared, folder, symlinks=True)
        return folder

    def count(self, folder: Path) -> int:
        """Run the command whole and return how many steps it takes."""
        mark = self.home / "steps"
        mark.write_text("0")

        def work() -> int:
            count_steps(lambda number: mark.write_text(str(number)) and None)
            return self.case.run()

        self.must(work, folder)
        return int(mark.read_text())

    def look(self, folder: Path) -> Any:
        """Return what a reader sees: a text, the same for the same content."""
        seen = self.home / "seen"
        seen.unlink(missing_ok=True)

        def work() -> None:
            text = self.case.look()
            seen.write_text(text, encoding="utf-8", errors="backslashreplace")

        ended = forked(work, folder)
        return seen.read_text(encoding="utf-8") if ended.code == 0 else f"unreadable:\n{ended.printed}"

    def kill(self, step: int | None, after: float | None) -> str:
        """Kill the command before a step or after a time; return what is wrong then, or nothing."""
        folder = self.copy("killed")

        def work() -> int:
            if step is not None:
                count_steps(lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == step else None)
            return self.case.run()

        ended = forked(work, folder, kill_after=after)
        if ended.code not in (0, -signal.SIGKILL):
            return f"ended with {ended.code}\n{ended.printed}"
        seen = self.look(folder)
        if seen not in (self.old, self.new, *([""] if self.case.clears else [])):
            return f"a reader sees what was neither before nor after:\n{seen[:2000]}"
        again = forked(self.case.again, folder)
        if again.code:
            return f"called again, it ended with {again.code}\n{again.printed}"
        if (seen := self.look(folder)) != self.new:
            return f"called again, it ended otherwise than unbroken:\n{seen[:2000]}\n--- and not\n{self.new[:2000]}"
        left = [str(path.relative_to(folder)) for path in folder.rglob(".*")]
        return f"left behind: {', '.join(left)}" if left else ""


def campaign(names: list[str], minutes: float, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Kill the named commands; return the counts and what was wrong."""
    until, draw = time.monotonic() + 60 * minutes, random.Random(seed)
    faults: list[dict[str, str]] = []
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="kills-") as home:
        os.environ["ALLSIGHT_CACHE"] = str(Path(home, "cache"))
        trials = []
        for name in names:
            trials.append(Trial(CASES[name], Path(home, name)))
            counts[name] = Counter(steps=trials[-1].steps)

        def kill(trial: Trial, step: int | None, after: float | None) -> None:
            name = trial.case.name
            counts[name]["at a step" if after is None else "at random"] += 1
            if wrong := trial.kill(step, after):
                where = f"before step {step}" if after is None else f"after {after:.3f} s"
                faults.append({"command": name, "where": where, "what": wrong})
                say(f"{name}, killed {where}: {wrong}")

        for trial in trials:
            for step in range(1, trial.steps + 1):
                kill(trial, step, None)
            say(f"{trial.case.name}: killed before each of {trial.steps} steps; whole it takes {trial.seconds:.1f} s")
        while time.monotonic() < until:
            trial = draw.choice(trials)
            kill(trial, None, draw.uniform(0, trial.seconds))
    kills = sum(each["at a step"] + each["at random"] for each in counts.values())
    return {"kills": kills, "faults": faults, "commands": {name: dict(each) for name, each in counts.items()}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="of kills at random moments too, until so many")
    parser.add_argument("--command", nargs="*", default=list(CASES), choices=list(CASES), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    begun = time.monotonic()
    found = campaign(given.command, given.minutes, given.seed, lambda line: print(line, flush=True))
    found = {"benchmark": "kills", "machine": machine(), "minutes": round((time.monotonic() - begun) / 60, 1), **found}
    if given.json:
        write_json(given.json, found)
    print(f"{found['kills']} kills of {len(given.command)} commands, {len(found['faults'])} faults")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
