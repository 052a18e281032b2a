"""Pictures and texts of a data set to another folder; pictures byte for byte where they are files."""

import shutil
from pathlib import Path

from PIL import Image

from allsight.data.pictures.dataset import Dataset
from allsight.errors import OutputError
from allsight.text import is_hidden

_LONGEST_STEM = 240  # bytes, of the 255 that a file's name may have


def copy_pictures(dataset: Dataset, folder: str | Path, *, distinct_stems: bool = False) -> list[str]:
    """Copy all pictures of a data set to a folder; those that are no files become PNG.

    Pictures of the same name from several folders get a number each.

    Args:
        dataset: the pictures.
        folder: where they go; what stands there already is kept.
        distinct_stems: no two names may differ in their suffix only, because annotation files are named by the stem.

    Returns:
        The file names in `folder`, in the order of the data set.

    Raises:
        OutputError: a picture cannot be copied.
    """
    folder = Path(folder)
    names: list[str] = []
    path = folder  # whatever is at work, for the message
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Lower case, because some file systems do not tell A.jpg from a.jpg.
        taken = {_key(path.name, distinct_stems) for path in folder.iterdir()}
        for example in dataset:
            path = example.path
            stem = _stem(path.stem if example.pixels is None else path.name)
            suffix = path.suffix if example.pixels is None else ".png"
            name = f"{stem}{suffix}"
            number = 2
            while _key(name, distinct_stems) in taken:
                name = f"{stem}_{number}{suffix}"
                number += 1
            taken.add(_key(name, distinct_stems))
            names.append(name)
            if example.pixels is None:
                shutil.copyfile(path, folder / name)
            else:
                Image.fromarray(example.pixels.permute(1, 2, 0).numpy()).save(folder / name)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder}: {path} cannot be copied ({reason}); check permissions and disk") from error
    return names


def put_text(path: Path, text: str) -> None:
    """Write a text file of a new data set.

    Not forced to the disk one by one, which would take minutes for thousands: `write_datasets` makes the folder as a
    whole appear or not.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another place"
        ) from error


def _stem(name: str) -> str:
    """Return what every form can hold of a file's name: nothing unseen, and short enough for a number behind it."""
    clean = "".join("_" if each == "#" or is_hidden(each) else each for each in name)
    return clean.encode()[:_LONGEST_STEM].decode(errors="ignore")


def _key(name: str, stem_only: bool) -> str:
    return (Path(name).stem if stem_only else name).lower()
