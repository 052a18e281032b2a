"""The names of ImageNet's thousand classes."""

from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The thousand class names in the order of the logits (Russakovsky et al. 2015), one WordNet lemma each.

    Lemmas that several classes share are told apart ("crane bird" and "crane"), also without regard to case.
    """
    return tuple(files("allsight.weights").joinpath("imagenet.txt").read_text(encoding="utf-8").splitlines())
