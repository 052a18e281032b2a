"""What is counted of a picture."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

SURE = 0.1  # probability from which a tag is worth a word
MOST_TAGS = 2


class Tally(NamedTuple):
    """What a summary keeps of one picture.

    Args:
        path: of the picture.
        objects: by class; a name ends in a question mark where the model does not vouch for the object.
        tags: those that are likely enough, with their probability.
        regions: which share of the picture each class of pixels covers, the largest first.
        known: False if the model does not know pictures of this kind.
    """

    path: str
    objects: Counter[str]
    tags: dict[str, float]
    regions: dict[str, float]
    known: bool = True


def tally(value: Mapping[str, Any]) -> Tally:
    """Return what is counted of a picture, from what `Scene.to_json` says of it.

    Objects that only show where a tag comes from are told with the tags. The most probable tag counts in any case where
    the model says nothing of objects.
    """
    objects = Counter(
        f"{item['label']}{'' if item.get('known', True) else '?'}"
        for item in value.get("objects", ())
        if item.get("located") != "activation"
    )
    tags = {
        tag["label"]: tag["score"]
        for place, tag in enumerate(value.get("tags", ())[:MOST_TAGS])
        if tag["score"] >= SURE or (place == 0 and "objects" not in value)
    }
    return Tally(value["path"], objects, tags, _shares(value), value.get("known", True))


def _shares(value: Mapping[str, Any]) -> dict[str, float]:
    named = [item for item in value.get("regions", ()) if item["label"] is not None]
    if not named:
        return {}
    from pycocotools import mask  # here, because help must not wait for it

    areas = mask.area([item["mask"] for item in named]).tolist()
    height, width = value["size"]
    shares = {item["label"]: area / (height * width) for item, area in zip(named, areas, strict=True)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
