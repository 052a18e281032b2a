"""Small models with random weights, made here, so that tests need neither shipped weights nor data."""

import torch

from allsight.data.inputs import PictureInputs
from allsight.hub import Display, Model, Spec

CLASSES = ("cat", "dog", "Äpfel & Birnen")


def tiny_detector(name: str = "tiny", *, channels: int = 16, seed: int = 0) -> Model:
    """Return a RetinaNet that sees something nearly everywhere."""
    trunk = Spec("efficientnet_lite0", {"weights": False})
    vocabulary = Spec("vocabulary", {"names": list(CLASSES)})
    spec = Spec("retinanet_narrow", {"trunk": trunk, "classes": vocabulary, "channels": channels, "depth": 1})
    torch.manual_seed(seed)
    system = spec.build().eval()
    bias = [m.bias for m in system.heads["objects"].classification.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    torch.nn.init.zeros_(bias)  # the prior of 0.01 would keep it silent
    return Model(
        system, spec, PictureInputs(64), Display({"": 0.3}), card={"title": "Tiny", "licence": "CC0"}, name=name
    )


def tiny_classifier(names: tuple[str, ...] = CLASSES, *, seed: int = 0) -> Model:
    """Return a classifier with random weights."""
    arguments = {
        "trunk": Spec("efficientnet_lite0", {"weights": False}),
        "classes": Spec("vocabulary", {"names": names}),
    }
    spec = Spec("classifier", arguments)
    torch.manual_seed(seed)
    system = spec.build().eval()
    torch.nn.init.normal_(system.heads["tags"].classifier.weight)
    return Model(system, spec, PictureInputs(64), name="tiny-classifier")
