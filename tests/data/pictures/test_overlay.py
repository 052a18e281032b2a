"""Data sets on the same pictures, laid over one another: what each says of a picture, and nothing that none says."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from allsight.data.formats.catalogue import open_dataset
from allsight.data.formats.coco_groups import COCO_GROUPS
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.overlay import overlay, with_region_groups
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary

SIZE = (4, 6)
RING = [0.0, 0.0, 4.0, 0.0, 4.0, 4.0, 0.0, 4.0]


def boxes(path: str, classes: tuple[str, ...], labels: list[int], outlines: tuple | None = None) -> Example:
    places = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(len(labels), 1)
    scene = Scene(SIZE, boxes=places, labels=torch.tensor(labels), object_classes=Vocabulary(classes), source=path)
    return Example(Path(path), scene, outlines)


def objects(*examples: Example) -> Dataset:
    return Dataset(examples, object_classes=examples[0].annotation.object_classes, name="objects", split="train")


def regions(path: str, classes: tuple[str, ...], label: int, **more) -> Dataset:
    names = Vocabulary(classes)
    scene = Scene(SIZE, regions=torch.full(SIZE, label), region_classes=names, source=path, **more)
    return Dataset((Example(Path(path), scene),), region_classes=names, name="regions", split="train")


def test_a_picture_of_two_sets_is_one_example_with_both() -> None:
    whole = overlay([objects(boxes("a.jpg", ("cat",), [0])), regions("./a.jpg", ("sky", "sea"), 1)])
    assert len(whole) == 1
    scene = whole[0].scene
    assert scene.names() == ["cat"]
    assert scene.regions.unique().tolist() == [1]
    assert whole.region_classes.names == ("sky", "sea")
    assert (whole.name, whole.split) == ("objects", "train")


def test_what_a_set_does_not_say_stays_unknown() -> None:
    whole = overlay([objects(boxes("a.jpg", ("cat",), [0])), regions("b.jpg", ("sky",), 0)])
    first, second = (example.scene for example in whole)
    assert first.regions is None
    assert first.masks is None
    assert second.boxes is None
    assert second.tags is None


def test_classes_are_matched_by_name() -> None:
    one, two = boxes("a.jpg", ("cat", "dog"), [0, 1]), boxes("b.jpg", ("dog", "cow"), [0, 1])
    whole = overlay([objects(one), objects(two), regions("a.jpg", ("sky", "sea"), 1), regions("b.jpg", ("sea",), 0)])
    assert whole.object_classes.names == ("cat", "dog", "cow")
    assert [example.scene.names() for example in whole] == [["cat", "dog"], ["dog", "cow"]]
    said = [whole.region_classes[int(example.scene.regions[0, 0])] for example in whole]
    assert said == ["sea", "sea"]


def test_tags_of_other_vocabularies_are_matched_by_name() -> None:
    def tagged(path: str, names: tuple[str, ...], tags: list[float]) -> Dataset:
        scene = Scene(SIZE, tags=torch.tensor(tags), tag_classes=Vocabulary(names))
        return Dataset((Example(Path(path), scene),), tag_classes=Vocabulary(names))

    whole = overlay([tagged("a.jpg", ("x", "y"), [0.0, 1.0]), tagged("b.jpg", ("y", "z"), [1.0, 0.0])])
    assert whole.tag_classes.names == ("x", "y", "z")
    assert [example.scene.tags.tolist() for example in whole] == [[0, 1, 0], [0, 1, 0]]


def test_objects_are_taken_once_from_the_set_that_outlines_them() -> None:
    plain, outlined = boxes("a.jpg", ("cat",), [0, 0]), boxes("a.jpg", ("cat",), [0], ([RING],))
    for order in ((plain, outlined), (outlined, plain)):
        (example,) = overlay([objects(each) for each in order])
        assert len(example.scene) == 1
        assert example.scene.masks.area().tolist() == [16]


def test_groups_make_regions_coarser_and_stuff_of_a_group_one_segment() -> None:
    names = ("wall-brick", "wall-wood", "cat", "dog")
    ids = torch.tensor([[1, 1, 2, 3, 4, 0]]).repeat(4, 1)
    segments = tuple({"id": i + 1, "label": i, "thing": i > 1, "crowd": False} for i in range(4))
    fine = torch.tensor([255, 0, 1, 2, 3])[torch.where(ids == 0, 0, ids)]
    data = regions("a.jpg", names, 0, panoptic=ids, segments=segments)
    data = overlay(
        [Dataset((Example(Path("a.jpg"), data[0].annotation.with_(regions=fine)),), region_classes=data.region_classes)]
    )
    coarse = with_region_groups(data, COCO_GROUPS)
    scene = coarse[0].scene
    assert coarse.region_classes.names == ("animal", "wall")
    assert scene.regions[0].tolist() == [1, 1, 1, 0, 0, 255]
    assert scene.panoptic[0].tolist() == [1, 1, 1, 3, 4, 0]  # two walls are one, two animals two
    assert [(s["id"], s["label"]) for s in scene.segments] == [(1, 1), (3, 0), (4, 0)]


def test_classes_outside_of_all_groups_keep_their_names() -> None:
    coarse = with_region_groups(regions("a.jpg", ("lava", "sea"), 0), COCO_GROUPS)
    assert coarse.region_classes.names == ("water", "lava")
    assert coarse[0].scene.regions.unique().tolist() == [1]


def test_one_picture_of_two_sizes_is_refused() -> None:
    other = Dataset((Example(Path("a.jpg"), Scene((5, 5))),))
    with pytest.raises(AnnotationError, match=r"a\.jpg.*sizes"):
        overlay([objects(boxes("a.jpg", ("cat",), [0])), other])


def test_maps_on_disk_are_renumbered_when_they_are_decoded(tmp_path: Path) -> None:
    for name, labels in (("one", ("sky", "sea")), ("two", ("sea",))):
        root = tmp_path / name
        (root / "images/train").mkdir(parents=True)
        (root / "masks/train").mkdir(parents=True)
        Image.new("RGB", (6, 4)).save(root / f"images/train/{name}.png")
        Image.new("L", (6, 4), len(labels) - 1).save(root / f"masks/train/{name}.png")
        listed = "".join(f"  {i}: {label}\n" for i, label in enumerate(labels))
        text = f"train: {{images: images/train, masks: masks/train}}\nclasses:\n{listed}"
        (root / "config.yaml").write_text(text)
    whole = overlay([open_dataset(tmp_path / name, "train") for name in ("one", "two")])
    assert [int(example.scene.regions[0, 0]) for example in whole] == [1, 1]


def test_coco256_says_four_things_of_one_picture(shared_data: Path) -> None:
    root = shared_data / "coco256"
    kinds = ("object_detection", "instance_segmentation", "semantic_segmentation", "panoptic_segmentation")
    whole = with_region_groups(overlay([open_dataset(root / kind, "train") for kind in kinds]), COCO_GROUPS)
    known = [(e.annotation.boxes is not None, e.outlines is not None, e.label_map is not None) for e in whole]
    assert {each: known.count(each) for each in set(known)} == {(True, True, True): 100, (True, False, False): 28}
    assert len(whole.object_classes) == 80
    assert len(whole.region_classes) == 27
    scene = whole[0].scene
    assert len(scene.masks) == len(scene.boxes)
    # Every pixel of the panoptic map has the class of its segment.
    labels = {segment["id"]: segment["label"] for segment in scene.segments}
    for number, label in labels.items():
        assert scene.regions[scene.panoptic == number].unique().tolist() == [label]


def test_the_groups_are_cocos() -> None:
    assert len(COCO_GROUPS) == 133
    assert len(set(COCO_GROUPS.values())) == 27
