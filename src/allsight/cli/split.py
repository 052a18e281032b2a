"""`allsight split`: one data set into train, val and whatever else is asked for."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from allsight.cli.convert import Form
from allsight.cli.datasets import read_all, told, write_splits
from allsight.cli.terminal import show
from allsight.errors import AnnotationError

# Torch is imported inside the functions: help must not wait for it.


def split(
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    *,
    out: Annotated[Path, arg(metavar="FOLDER")],
    fractions: Annotated[tuple[str, ...], arg(metavar="NAME=SHARE ...")] = ("train=0.8", "val=0.2"),
    seed: int = 0,
    to: Form | None = None,
    no_stratify: bool = False,
    force: bool = False,
) -> int:
    """Divide a data set by chance, each class in equal proportion, and write the parts into a new folder.

    Args:
        data: A data set in any form; splits that it has already are joined first.
        out: The new folder.
        fractions: Name and share of every part.
        seed: The same seed gives the same parts.
        to: The form to write; by default that of DATA.
        no_stratify: Let chance alone decide, whatever the classes.
        force: Replace a data set that stands at --out.

    Returns:
        The exit code.
    """
    shares = dict(map(_share, fractions))
    if len(shares) < len(fractions):
        raise AnnotationError(f"--fractions {' '.join(fractions)}: a name stands twice; give each part its own")
    from allsight.data.formats.catalogue import detect_format
    from allsight.data.split import split as divide

    form = to or detect_format(data)
    parts = divide(read_all(data), shares, seed, stratify=not no_stratify)
    write_splits(parts, out, form, sources=[data], force=force)
    show(*(told(part) for part in parts.values()), f"written as {form} to {out}/")
    return 0


def _share(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        share = float(number)
    except ValueError:
        share = 0.0
    if not name.isidentifier() or not 0 < share < float("inf"):
        raise AnnotationError(f"--fractions {text}: is not of the form NAME=SHARE; give for instance train=0.8 val=0.2")
    return name, share
