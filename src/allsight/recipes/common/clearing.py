"""What an earlier run left in its folder, and no file of anybody else."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from allsight.errors import OutputError
from allsight.files import steps
from allsight.files.folder import WHOLE
from allsight.hub import FILES, RUN_MODEL
from allsight.recipes.common.identity import RECIPE

_CHECKPOINTS = ("last.pt", "best.pt")


def clear_run(out: Path) -> None:
    """Remove a run: its checkpoints first, so that nothing can go on from them, and recipe.json last.

    Stopped half-way it is still the run that recipe.json says, with less to go on from.

    Raises:
        OutputError: a file cannot be removed.
    """
    path = out
    try:
        for path in [*_files(out), out / RECIPE]:
            steps.remove(path)
            with suppress(OSError):  # it is not empty, or the run's folder itself
                if path.parent != out:
                    path.parent.rmdir()
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed ({error.strerror or error}); check the permissions") from error


def _files(out: Path) -> Iterator[Path]:
    """Give the files of a run, its stages and its resamples, but for its own recipe.json."""
    for folder in _folders(out):
        checkpoints = folder / "checkpoints"
        yield from (checkpoints / name for name in _CHECKPOINTS if (checkpoints / name).exists())
        yield from checkpoints.glob(".*.part.pt")
        yield from folder.glob("tensorboard/events.out.tfevents.*")
        yield from (folder / name for name in ("log.jsonl", "resamples.json") if (folder / name).exists())
        model = folder / RUN_MODEL
        yield from (model / name for name in (WHOLE, *FILES) if (model / name).exists())
        if folder != out and (folder / RECIPE).exists():
            yield folder / RECIPE


def _folders(out: Path) -> list[Path]:
    """Return the folder itself, its stages', and its resamples' with theirs; what has a recipe is no stage."""
    inner = [path for path in out.iterdir() if path.is_dir() and not path.is_symlink()]
    resamples = [path for path in inner if path.name.startswith("resample-") and path.name[9:].isdigit()]
    stages = [path for path in inner if (path / "checkpoints").is_dir() and not (path / RECIPE).exists()]
    return [out, *stages, *(each for path in resamples if path not in stages for each in _folders(path))]
