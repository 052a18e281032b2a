"""Which packages are installed, and what to type where one is missing."""

import json
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_NAME = "allsight"


def missing(*names: str) -> list[str]:
    """Return those of the packages that are not installed; none is imported."""
    return [name for name in names if find_spec(name) is None]


def install_command(extra: str) -> str:
    """Return the command that installs an extra of this package from where the package itself came.

    Args:
        extra: such as "fast".

    Returns:
        In a clone `pip install -e ".[fast]"`; elsewhere the same with the clone's folder, the path of the wheel, or
        the name by which an index knows the package.
    """
    source, editable = _source()
    if source is None:
        return f'pip install "{_NAME}[{extra}]"'
    here = editable and source.resolve() == Path.cwd().resolve()
    return f'pip install {"-e " if editable else ""}"{"." if here else source}[{extra}]"'


@lru_cache(maxsize=1)
def _source() -> tuple[Path | None, bool]:
    """Return the folder or file that the package was installed from, None for an index, and whether it is edited there.

    Source: packaging.python.org, "Recording the Direct URL Origin of installed distributions" (PEP 610).
    """
    clone = Path(__file__).parents[3]
    if (clone / "pyproject.toml").is_file() and (clone / "src" / _NAME) == Path(__file__).parents[1]:
        return clone, True
    try:
        return _recorded(distribution(_NAME)), False
    except PackageNotFoundError:
        return None, False


def _recorded(installed: Distribution) -> Path | None:
    """Return the local folder or file that pip wrote down as the origin, if it still stands."""
    try:
        address = urlsplit(json.loads(installed.read_text("direct_url.json") or "{}").get("url", ""))
    except ValueError:
        return None
    path = Path(url2pathname(address.path))
    return path if address.scheme == "file" and path.exists() else None
