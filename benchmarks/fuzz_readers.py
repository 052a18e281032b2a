"""What `fuzz.py` spoils and reads: every kind of file that somebody else may have written."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from allsight.claims.method.record import read as read_record
from allsight.data.doctor import check
from allsight.data.feature_cache import FeatureCache
from allsight.data.formats.catalogue import open_dataset, splits, write_datasets
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.reading import read_picture
from allsight.errors import AllsightError
from allsight.files import settle
from allsight.files.folder import WHOLE
from allsight.hub import load
from allsight.knowing.familiarity import Familiarity
from allsight.knowing.knowledge import Knowledge
from allsight.metrics.calibration import Platt
from allsight.recipes.common.identity import read_recipe
from allsight.scene import Masks, Scene, Vocabulary
from allsight.training.checkpoint import Checkpoints
from allsight.weights.files import read_state, write_state
from kill_cases import SIZE, data, model, squares


class Reader(NamedTuple):
    """One kind of file.

    Args:
        make: writes good files into a folder.
        read: reads them; what it may raise is an AllsightError.
        spoil: patterns of the files that are spoiled.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], object]
    spoil: Sequence[str] = ("**/*",)


def _read_dataset(folder: Path) -> None:
    """All that `allsight check` and a training read."""
    sides = {name: open_dataset(folder / "set", name) for name in splits(folder / "set")}
    check(sides).lines()
    for side in sides.values():
        for example in side:
            try:
                assert example.scene.size
            except AllsightError:
                continue  # one bad picture stops one picture


def _dataset(form: str, *spoil: str) -> Reader:
    return Reader(lambda folder: data(folder / "set", form), _read_dataset, spoil)


def _other(form: str) -> Dataset:
    """Return the squares as masks of one class, regions or tags."""
    examples = []
    for example in squares(2, 0):
        assert example.pixels is not None and example.annotation.boxes is not None
        x1, y1, x2, y2 = (int(value) for value in example.annotation.boxes[0])
        inside = torch.zeros(SIZE, dtype=torch.bool)
        inside[y1:y2, x1:x2] = True
        if form == "instances":
            one = Vocabulary(("square",))
            boxes, labels = example.annotation.boxes, torch.zeros(1, dtype=torch.int64)
            scene = Scene(SIZE, boxes=boxes, labels=labels, masks=Masks.from_dense(inside[None]), object_classes=one)
        elif form == "regions":
            scene = Scene(SIZE, regions=inside.long(), region_classes=Vocabulary(("ground", "square")))
        else:
            tags = torch.eye(2)[len(examples)]
            scene = Scene(SIZE, tags=tags, tag_classes=Vocabulary(("dark", "light")))
        examples.append(Example(example.path, scene, pixels=example.pixels))
    kinds = {"instances": "object_classes", "regions": "region_classes"}
    kind = kinds.get(form, "tag_classes")
    return Dataset(tuple(examples), **{kind: getattr(examples[0].annotation, kind)}, name=form)


def _of_masks(form: str, *spoil: str) -> Reader:
    return Reader(lambda folder: write_datasets({"train": _other(form)}, folder / "set", form), _read_dataset, spoil)


def _pictures(folder: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    for suffix in ("jpg", "png", "gif", "bmp", "tif", "webp"):
        image.save(folder / f"a.{suffix}")
    image.convert("I;16").save(folder / "deep.png")
    image.save(folder / "turned.jpg", exif=Image.Exif())


def _each(read: Callable[[Path], object]) -> Callable[[Path], None]:
    """Read every file of a folder by itself."""

    def all_of(folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            try:
                read(path)
            except AllsightError:
                continue

    return all_of


def _knowledge(folder: Path) -> None:
    model(folder / "tiny")
    familiar = Familiarity.fit(torch.randn(40, 320), "c5")
    Knowledge(pictures=familiar, scores=Platt(1.0, 0.0), data="made").write(folder / "tiny" / "knowledge.safetensors")


def _checkpoint(folder: Path) -> None:
    state = {"model": {"weight": torch.ones(3)}, "config": {"epochs": 2}, "position": {"step": 1}}
    Checkpoints(folder).save(folder / "last.pt", state)


def _weights(folder: Path) -> None:
    state = {"a.weight": torch.randn(4, 3), "a.bias": torch.zeros(4)}
    write_state(folder / "a.safetensors", state, half=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    (folder / "a.pth").write_bytes(buffer.getvalue())


def _scene(folder: Path) -> None:
    masks = torch.zeros((1, *SIZE), dtype=torch.bool)
    masks[0, 4:20, 6:30] = True
    boxes, labels = torch.tensor([[6.0, 4.0, 30.0, 20.0]]), torch.tensor([0])
    scene = Scene(
        SIZE, boxes=boxes, labels=labels, scores=torch.tensor([0.5]), masks=Masks.from_dense(masks),
        tags=torch.tensor([0.2, 0.8]), regions=torch.zeros(SIZE, dtype=torch.int64), captions=("a square",),
        object_classes=Vocabulary(("square",)), tag_classes=Vocabulary(("a", "b")),
        region_classes=Vocabulary(("ground",)),
    )  # fmt: skip
    (folder / "scene.json").write_text(json.dumps(scene.to_json()))


def _read_scene(folder: Path) -> None:
    try:
        value = json.loads((folder / "scene.json").read_bytes())
    except (ValueError, RecursionError):
        return  # whoever calls `from_json` has read it
    Scene.from_json(value).to_json()


def _features(folder: Path) -> None:
    FeatureCache(folder, 2**20).write("ab12", {"0.c4": torch.ones(2, 3), "0.c5": torch.zeros(4)})


def _read_features(folder: Path) -> None:
    cache = FeatureCache(folder, 2**20)
    if cache.intact("ab12"):
        assert [tensor.sum().item() for tensor in cache.read("ab12", ["0.c4", "0.c5"])] == [6.0, 0.0]


def _plan(folder: Path) -> None:
    (folder / WHOLE).mkdir()
    (folder / WHOLE / ".plan.json").write_text(json.dumps({"going": ["a", "b"], "coming": ["c"]}))
    (folder / WHOLE / "c").write_text("c")


READERS = {
    "coco": _dataset("coco", "**/*.json"),
    "voc": _dataset("voc", "**/*.xml", "**/*.txt"),
    "yolo": _dataset("yolo", "**/*.txt", "**/*.yaml"),
    "instances": _of_masks("instances", "**/instances/**/*.png", "**/*.txt"),
    "regions": _of_masks("regions", "**/masks/**/*.png", "**/*.yaml"),
    "arrays": _of_masks("arrays", "**/*.npz"),
    "folders": _of_masks("folders"),
    "pictures": Reader(_pictures, _each(read_picture)),
    "config": Reader(lambda folder: model(folder / "tiny"), lambda folder: load(folder / "tiny"), ("**/config.json",)),
    "knowledge": Reader(_knowledge, lambda folder: load(folder / "tiny"), ("**/knowledge.safetensors",)),
    "weights": Reader(_weights, _each(read_state)),
    "checkpoint": Reader(_checkpoint, lambda folder: Checkpoints(folder).load(folder / "last.pt")),
    "scene": Reader(_scene, _read_scene),
    "features": Reader(_features, _read_features),
    "recipe": Reader(lambda folder: _json(folder / "recipe.json"), read_recipe),
    "record": Reader(lambda folder: _json(folder / "made.json"), lambda folder: read_record(folder / "made.json")),
    "plan": Reader(_plan, settle, ("**/.plan.json",)),
}


def _json(path: Path) -> None:
    value = {"recipe": "RetinaNet", "epochs": 2, "identity": {"digest": "ab", "classes": ["a"]}, "scores": {"a": {}}}
    path.write_text(json.dumps(value))
