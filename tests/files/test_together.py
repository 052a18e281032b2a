"""Files that belong together: stopped at any step they are all old or all new, and nobody else's file is touched."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from allsight.errors import OutputError
from allsight.files import settle, steps, together
from allsight.files.folder import WHOLE

NAMES = ("index", "weights", "extra", "maps")


def put(folder: Path, word: str, extra: bool) -> None:
    with together(folder, NAMES, last="index") as temporary:
        for name in ("index", "weights", *(["extra"] if extra else [])):
            (temporary / name).write_text(word)
        (temporary / "maps").mkdir()
        (temporary / "maps" / "0").write_text(word)


def words(folder: Path) -> dict[str, str]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text() for name, path in sorted(files.items())}


def expected(word: str, extra: bool) -> dict[str, str]:
    files = {"index": word, "maps/0": word, "weights": word, "mine": "a stranger's"}
    return dict(sorted((files | ({"extra": word} if extra else {})).items()))


class Stopped(BaseException):
    """As a kill: no one handles it."""


def stop_before(step: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Stop before the step of that number; from then on nothing moves any more."""
    done: list[str] = []

    def stopping(act: Callable[..., None]) -> Callable[..., None]:
        def stopped(*places: Path) -> None:
            if len(done) >= step:
                raise Stopped
            done.append(act.__name__)
            act(*places)

        return stopped

    patch.setattr(steps, "rename", stopping(steps.rename))
    patch.setattr(steps, "remove", stopping(steps.remove))
    return done


@pytest.mark.parametrize("step", range(12))
def test_stopped_at_any_step_all_are_old_or_all_are_new(tmp_path, monkeypatch, step):
    folder = tmp_path / "set"
    put(folder, "old", extra=True)
    (folder / "mine").write_text("a stranger's")
    with monkeypatch.context() as patch:
        done = stop_before(step, patch)
        try:
            put(folder, "new", extra=False)
        except Stopped:
            seen = words(folder)  # a reader that knows nothing of all this: no index beside files of another time
            assert len({seen[name] for name in ("index", "weights", "maps/0") if name in seen}) <= 1 or (
                "index" not in seen
            )
    settle(folder)
    settle(folder)
    new = "rename" in done
    assert {k: v for k, v in words(folder).items() if not k.startswith(".")} == (
        expected("new", False) if new else expected("old", True)
    )
    put(folder, "newer", extra=True)
    assert words(folder) == expected("newer", True)  # and nothing is left over


def fail(folder: Path, error: Exception | None = None) -> None:
    with together(folder, NAMES) as temporary:
        (temporary / "index").write_text("new")
        raise error or OutputError(f"{temporary}/weights: is full")


def test_a_failure_leaves_all_as_it_was(tmp_path):
    put(tmp_path, "old", extra=False)
    before = words(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path, ZeroDivisionError())
    with pytest.raises(OutputError, match=f"^{tmp_path}/weights: is full$"):  # nobody knows the temporary folder
        fail(tmp_path)
    with pytest.raises(OutputError, match=r"No space left on device.*untouched"):
        fail(tmp_path, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OutputError, match="cannot be written"):
        put(tmp_path / "index", "new", extra=False)
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "deep" / "er", ZeroDivisionError())
    assert words(tmp_path) == before and not (tmp_path / "deep").exists()


@pytest.mark.parametrize("name", ["../victim", "/etc/victim", "..", "", "a\0b", 3])
def test_a_folder_from_elsewhere_cannot_have_files_removed(tmp_path, name):
    (tmp_path / "victim").write_text("here")
    folder = tmp_path / "set"
    (folder / WHOLE).mkdir(parents=True)
    (folder / WHOLE / ".plan.json").write_text(json.dumps({"going": [name], "coming": []}))
    with pytest.raises(OutputError, match="is not what allsight writes"):
        settle(folder)
    assert (tmp_path / "victim").read_text() == "here"
