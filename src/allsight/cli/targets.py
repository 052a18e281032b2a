"""Which pictures to look at, and where their drawn copies go."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from allsight.errors import OutputError, PictureError

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
        raise PictureError('the sample photographs come with scikit-image; run: pip install "allsight[sample]"')
    return found


def pictures_of(paths: Sequence[Path], out: Path) -> list[Path]:
    """Return the pictures that files, folders and globs name, each once.

    What an earlier run drew into `out` is not looked at again when `out` lies in one of the folders.

    Raises:
        PictureError: a folder or a pattern without pictures.
    """
    from allsight.data.pictures.reading import find_pictures

    answers = os.path.abspath(out)
    found: dict[str, Path] = {}
    for path in paths:
        own = not _inside(os.path.abspath(path), answers)
        for picture in find_pictures([path]):
            place = os.path.abspath(picture)
            if not (own and os.path.isdir(path) and _inside(place, answers)):
                found.setdefault(place, picture)
    if paths and not found:
        raise PictureError(f"{paths[0]}: no pictures but those in {out}; name a folder with others")
    return list(found.values())


def drawn_names(pictures: Sequence[Path], out: Path) -> list[Path]:
    """Return where each picture's drawn copy goes: out/NAME.jpg.

    Where pictures of different folders have one name, all keep their folders below the common one; where a.jpg and
    a.png lie side by side, they become a.jpg.jpg and a.png.jpg.
    """
    places = [Path(os.path.abspath(picture)) for picture in pictures]
    common = Path(os.path.commonpath([place.parent for place in places])) if places else Path()

    def flat(place: Path) -> Path:
        return Path(place.name)

    def nested(place: Path) -> Path:
        return place.relative_to(common)

    for layout in (flat, nested):
        names = [layout(place) for place in places]
        short = [name.with_suffix(".jpg") for name in names]
        often = _count(short)
        chosen = [s if often[_key(s)] == 1 else Path(f"{n}.jpg") for s, n in zip(short, names, strict=True)]
        # a.jpg, a.png and a.png.png: what was made longer may meet another name.
        if max(_count(chosen).values(), default=1) == 1 and (layout is nested or _same_folder(short, places)):
            return [out / name for name in chosen]
    return [out / f"{nested(place)}.jpg" for place in places]


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
