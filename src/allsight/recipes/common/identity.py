"""Which run this is: what it was asked for, what it learns from, and the classes that it learns."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import OutputError, reason
from allsight.recipes.common.card import DESCRIBING
from allsight.recipes.common.job import Job

RECIPE = "recipe.json"
_ENTRY = "identity"
# These settings have no influence on the weights, so that a resumed run may change them.
FREE = ("checkpoint_seconds", "cache_gib", *DESCRIBING)


def identity_of(resolved: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Return what a run's folder says of itself: the classes, a digest of the data, and one of it all.

    A job of several runs has no data of its own: they say it in theirs.

    Args:
        resolved: the recipe's settings as JSON. job: what they built.
    """
    data = getattr(job, "data", None)
    learned = {} if data is None else {"classes": list(_classes(job.model.spec.to_json())), "data": fingerprint(data)}
    fixed = {name: value for name, value in resolved.items() if name not in FREE}
    return {**learned, "digest": _digest([json.dumps([fixed, learned], sort_keys=True).encode()])}


def fingerprint(data: Any) -> str:
    """Return a digest of what a training learns from: pictures by name and size, and what is annotated in them.

    Of examples that are no annotated pictures it is their number.
    """
    dataset = getattr(data, "dataset", data)
    if not isinstance(dataset, Dataset):
        return str(len(data))
    return _digest(part for example in dataset for part in _parts(example))


def _parts(example: Example) -> Iterator[bytes]:
    scene = example.annotation
    yield f"{example.path.name} {scene.size} {len(example.outlines or ())}".encode(errors="surrogateescape")
    for name in ("boxes", "labels", "crowd", "difficult", "tags"):
        value = getattr(scene, name)
        if value is not None:
            yield name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes()


def _digest(parts: Iterable[bytes]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "little") + part)
    return sha.hexdigest()[:32]


def _classes(spec: Any) -> Iterator[str]:
    """Give the names of all vocabularies in a model's Spec, as JSON has it."""
    if isinstance(spec, Mapping):
        if spec.get("builder") == "vocabulary":
            yield from map(str, spec["arguments"]["names"])
        else:
            for value in spec.values():
                yield from _classes(value)
    elif isinstance(spec, list | tuple):
        for value in spec:
            yield from _classes(value)


def said_by(out: Path) -> str:
    """Return the digest that a run's folder says of itself; "" if it says none."""
    return str(read_recipe(out).get(_ENTRY, {}).get("digest", ""))


def read_recipe(out: Path) -> dict[str, Any]:
    """Return what stands in a run's recipe.json; nothing, if there is none.

    Raises:
        OutputError: it is damaged.
    """
    path = out / RECIPE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict) or not isinstance(value.get(_ENTRY, {}), dict):
            raise ValueError("it is no recipe")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path}: cannot be read ({reason(error)}); start anew with --force") from error
    return value


def with_identity(resolved: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to stand in a run's recipe.json."""
    return {**resolved, _ENTRY: dict(identity)}


def refuse_other_settings(out: Path, resolved: Mapping[str, Any]) -> None:
    """Raise an OutputError if a run was started with other settings than these."""
    before = read_recipe(out)
    for key in resolved:
        if key in before and key not in FREE and before[key] != resolved[key]:  # an older version's may lack a setting
            raise OutputError(
                f"{out}: was started with {key} = {before.get(key)}, not {resolved[key]}; give the same, "
                "or start anew with --force"
            )


def refuse_other_data(out: Path, identity: Mapping[str, Any]) -> None:
    """Raise an OutputError if a run learned other classes, or from other data, than it would go on with."""
    before = read_recipe(out).get(_ENTRY, {})
    for key, what in (("classes", "the classes"), ("data", "the annotated pictures")):
        if key in before and key in identity and before[key] != identity[key]:
            change = f" ({_change(before[key], identity[key])})" if key == "classes" else ""
            raise OutputError(
                f"{out}: {what} that it learned from have changed since{change}; put them back as they were, "
                "or start anew with --force"
            )


def _change(before: list[str], now: list[str], most: int = 5) -> str:
    """Say which names have gone and which have come."""
    said = []
    for words, names, others in (("gone", before, now), ("new", now, before)):
        only = [name for name in names if name not in others]
        if only:
            more = f" and {len(only) - most} more" if len(only) > most else ""
            said.append(f"{words}: {', '.join(only[:most])}{more}")
    return "; ".join(said) or "they are in another order"
