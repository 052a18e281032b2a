"""Which pictures to look at, and where their drawn copies go."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from allsight.cli.seen import holds_answers
from allsight.errors import OutputError, PictureError
from allsight.machine.packages import install_command

# Free photographs inside scikit-image's wheel: a cat, an astronaut, a cup of coffee, a rocket, a motorcycle.
SAMPLES = ("chelsea.png", "astronaut.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")


def samples() -> list[Path]:
    """Return scikit-image's own photographs, which lie in its package folder; nothing is downloaded or imported.

    Raises:
        PictureError: scikit-image is not installed, or comes without them.
    """
    spec = find_spec("skimage")
    places = (spec and spec.submodule_search_locations) or ()
    found = [path for place in places for name in SAMPLES if (path := Path(place, "data", name)).is_file()]
    if not found:
        raise PictureError(f"the sample photographs come with scikit-image; run: {install_command('sample')}")
    return found


def pictures_of(paths: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Return the pictures that files, folders and globs name, each once, and the place of each below an output.

    A folder is mirrored; several are, each under its own name. What an earlier run drew is not looked at again when it
    lies in one of the folders: below `out`, or below a folder in which the answers lie too.

    Raises:
        PictureError: a folder or a pattern without pictures, or nothing but files that do not exist.
    """
    from allsight.data.pictures.reading import find_pictures

    answers = os.path.abspath(out)
    is_answer = lru_cache(maxsize=4096)(holds_answers)  # many pictures lie in one folder
    found: dict[str, tuple[Path, Path]] = {}
    for path in paths:
        own = not _inside(os.path.abspath(path), answers)
        root = _root(path)
        for picture in find_pictures([path]):
            place = os.path.abspath(picture)
            if root is not None and own and _inside(place, answers):
                continue
            if root is not None and any(map(is_answer, _folders_between(root, picture))):
                continue
            found.setdefault(place, (picture, _place(picture, root, alone=len(paths) == 1)))
    if paths and not found:
        raise PictureError(f"{paths[0]}: no pictures but those that were drawn earlier; name a folder with others")
    if found and not any(map(os.path.lexists, found)):
        raise PictureError(f"{next(iter(found.values()))[0]}: does not exist; check the path")
    return dict(found.values())


def _root(path: Path) -> Path | None:
    """Return the folder in which the pictures that a word names lie, None if it names one file."""
    if os.path.isdir(path):
        return path
    parts = path.parts
    magic = [i for i, part in enumerate(parts) if glob.has_magic(part)]
    return Path(*parts[: magic[0]]) if magic and not os.path.lexists(path) else None


def _place(picture: Path, root: Path | None, *, alone: bool) -> Path:
    """Return where a picture lies below an output."""
    if root is None:
        return Path(picture.name)
    inside = Path(os.path.relpath(picture, root))
    return inside if alone else Path(os.path.basename(os.path.abspath(root)), inside)


def _folders_between(root: Path, picture: Path) -> Iterator[Path]:
    """Give the folders below `root` in which a picture lies."""
    folder = picture.parent
    while folder != root and folder != folder.parent:
        yield folder
        folder = folder.parent


def drawn_names(pictures: Sequence[Path], out: Path, places: Sequence[Path] | None = None) -> list[Path]:
    """Return where each picture's drawn copy goes: out/PLACE.jpg.

    Where pictures of different folders have one place, all keep their folders below the common one; where a.jpg and
    a.png lie side by side, they become a.jpg.jpg and a.png.jpg.

    Args:
        pictures: files. out: the folder. places: of the pictures below it, by default their names.
    """
    absolute = [Path(os.path.abspath(picture)) for picture in pictures]
    common = Path(os.path.commonpath([place.parent for place in absolute])) if absolute else Path()
    nested = [place.relative_to(common) for place in absolute]
    for names in (places or [Path(place.name) for place in absolute], nested):
        short = [name.with_suffix(".jpg") for name in names]
        often = _count(short)
        chosen = [s if often[_key(s)] == 1 else Path(f"{n}.jpg") for s, n in zip(short, names, strict=True)]
        # a.jpg, a.png and a.png.png: what was made longer may meet another name.
        if max(_count(chosen).values(), default=1) == 1 and (names is nested or _same_folder(short, absolute)):
            return [out / name for name in chosen]
    return [out / f"{name}.jpg" for name in nested]


def free_folder(name: str) -> Path:
    """Return a folder that does not exist yet or is empty: `name`, or else name-2, name-3 ..."""
    return next(folder for folder in _numbered(name) if not folder.exists() or _is_empty(folder))


def latest_folder(name: str) -> Path:
    """Return the last one of those that `free_folder` gave, `name` if there is none."""
    return max(
        (folder for folder in Path().glob(f"{name}-*") if folder.name.removeprefix(f"{name}-").isdecimal()),
        key=lambda folder: int(folder.name.removeprefix(f"{name}-")),
        default=Path(name),
    )


def _numbered(name: str) -> Iterator[Path]:
    return (Path(name if number == 1 else f"{name}-{number}") for number in count(1))


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _same_folder(names: Sequence[Path], places: Sequence[Path]) -> bool:
    """Whether pictures of one short name lie in one folder."""
    folders: dict[str, Path] = {}
    return all(folders.setdefault(_key(n), p.parent) == p.parent for n, p in zip(names, places, strict=True))


def _count(names: Sequence[Path]) -> Counter[str]:
    return Counter(map(_key, names))


def _key(name: Path) -> str:
    return str(name).casefold()  # two names that differ in case only are one file on many disks


def refuse_to_lose(targets: Sequence[Path], pictures: Sequence[Path], refuse: Callable[[Path], None]) -> None:
    """Check all targets before anything is computed.

    Args:
        targets: files to be written. pictures: files to be read.
        refuse: raises an OutputError if a target exists and may not be replaced.

    Raises:
        OutputError: from `refuse`, or a target is one of the pictures, which not even force may replace.
    """
    originals = {os.path.realpath(picture) for picture in pictures}
    for target in targets:
        if os.path.realpath(target) in originals:
            raise OutputError(f"{target}: is one of the pictures to look at; choose another --out")
        refuse(target)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
