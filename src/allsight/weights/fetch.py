"""Fetching weights from an address into the cache, where they appear only once their hash is verified."""

import hashlib
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from allsight.errors import AllsightError, WeightsError, reason
from allsight.files import clear_leavings
from allsight.weights.files import sha256

_MODEL = ("config.json", "model.safetensors")
_HUB = "hf://"


def is_address(name: str) -> bool:
    """Whether a name is something to fetch: a URL, or hf:// for Hugging Face."""
    return name.startswith((_HUB, "https://", "http://"))


def cache_folder() -> Path:
    """The folder for fetched files: $ALLSIGHT_CACHE, or ~/.cache/allsight."""
    return Path(os.environ.get("ALLSIGHT_CACHE") or Path.home() / ".cache" / "allsight")


def fetch(address: str, sha: str | None) -> Path:
    """Fetch a file or a model's folder into the cache; what the cache holds is taken without asking the network.

    Args:
        address: a file (https://host/place/file, hf://owner/repository/place/file@revision) or a model's folder
            (https://host/place/, hf://owner/repository@revision) with config.json and model.safetensors; a
            query behind it is dropped.
        sha: the SHA-256 of the file; of a folder, what `sha256sum config.json model.safetensors | sha256sum` prints.

    Returns:
        the file or the folder in the cache, below a folder named by the hash.

    Raises:
        WeightsError: no hash, a wrong one, or a fetch that fails; nothing is kept then.
    """
    sha = (sha or "").lower()
    if len(sha) != 64 or not set(sha) <= set("0123456789abcdef"):
        raise WeightsError(f"{address}: is fetched only with its hash; append #sha256= and its 64 digits")
    base, name = _split(address)
    names = (name,) if name else _MODEL
    place = cache_folder() / sha
    if _digest(place, names) != sha:
        try:
            _fetch_files(base, names, place, sha)
        except AllsightError:
            raise
        except Exception as error:  # files, sockets, urllib and huggingface_hub each raise their own
            raise WeightsError(
                f"{address}: cannot be fetched ({reason(error)}); check address, connection and disk"
            ) from error
    return place / name if name else place


def _split(address: str) -> tuple[str, str]:
    """An address into its folder, which keeps the revision, and the name of the file, empty for a folder."""
    if not address.startswith(_HUB):
        base, _, name = address.rpartition("/")
        name = name.partition("?")[0]
    else:
        place, at, revision = address.removeprefix(_HUB).partition("@")
        parts = place.strip("/").split("/")
        if len(parts) < 2 or not all(parts):
            raise WeightsError(f"{address}: not of the form hf://owner/repository[/file][@revision]; write it out")
        base, name = f"{_HUB}{'/'.join(parts[:2])}{at}{revision}", "/".join(parts[2:])
    if ".." in name.split("/"):
        raise WeightsError(f"{address}: leads out of its own folder; give the address of a file")
    return base, name


def _digest(folder: Path, names: Sequence[str]) -> str:
    """The hash of one file, or of the lines that sha256sum prints for several; empty where one is missing."""
    if not all((folder / name).is_file() for name in names):
        return ""
    digests = [sha256(folder / name) for name in names]
    lines = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return digests[0] if len(names) == 1 else hashlib.sha256(lines.encode()).hexdigest()


def _fetch_files(base: str, names: Sequence[str], place: Path, sha: str) -> None:
    """Fetch into a folder beside `place`, verify, and only then rename."""
    place.parent.mkdir(parents=True, exist_ok=True)
    clear_leavings(place.parent)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".fetch.{os.getpid()}.part.") as temporary:
        part = Path(temporary, "files")
        part.mkdir()
        for name in names:
            (_fetch_from_hub if base.startswith(_HUB) else _fetch_url)(base, name, part)
        if (actual := _digest(part, names)) != sha:
            raise WeightsError(
                f"{base}: {', '.join(names)} has the SHA-256 {actual}, not {sha}; not kept, ask its source"
            )
        shutil.rmtree(place, ignore_errors=True)  # a damaged earlier copy
        part.rename(place)


def _fetch_url(base: str, name: str, folder: Path) -> None:
    with urllib.request.urlopen(f"{base}/{name}", timeout=60) as answer, open(folder / name, "wb") as file:
        shutil.copyfileobj(answer, file)


def _fetch_from_hub(base: str, name: str, folder: Path) -> None:
    import huggingface_hub  # slow to import, and seldom needed

    repository, _, revision = base.removeprefix(_HUB).partition("@")
    huggingface_hub.hf_hub_download(repository, name, revision=revision or None, local_dir=folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # notes that only a later download would use
