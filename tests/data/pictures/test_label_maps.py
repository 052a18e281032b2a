"""Label maps are read as what they say, in whatever way they say it, and what is wrong with them is told."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from allsight.data.doctor import check
from allsight.data.formats.catalogue import lost_fields, open_dataset, splits, write_datasets
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.geometry import Affine, Crop, Flip, Scale
from allsight.data.pictures.loading import EvaluationSet, TrainingSet, collate
from allsight.errors import AnnotationError, PictureError
from allsight.scene import Masks, Scene, Vocabulary

from ..conftest import CLASSES, save_picture

IDS = np.kron(np.array([[0, 2, 2], [7, 7, 255]]), np.ones((24, 22), dtype=np.int64))[:, :64]  # (48, 64)
LABELS = np.select([IDS == 0, IDS == 2, IDS == 7], [0, 1, 2], 255)
CONFIG = {
    "train": {"images": "images/train", "masks": "masks/train"},
    "val": {"images": "images/val", "masks": "masks/val"},
    "classes": {0: "sky", 2: "road", 7: "car"},
}
COLOURS = {0: (10, 20, 30), 2: (200, 0, 0), 7: (0, 0, 200), 255: (1, 1, 1)}


def painted(ids: np.ndarray) -> np.ndarray:
    return np.select([(ids == i)[..., None] for i in COLOURS], [np.array(c) for c in COLOURS.values()]).astype(np.uint8)


def save_map(path: Path, ids: np.ndarray = IDS, palette: dict[int, tuple[int, int, int]] | None = None) -> Path:
    """Write a label map of ids; with a palette that of its indices, which then stand for the same classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8))
    if palette is not None:
        flat = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3)
        flat[:, 0] ^= 85  # other colours than those of the classes
        for index, colour in palette.items():
            flat[index] = colour
        image.putpalette(flat.tobytes())
    image.save(path)
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Two splits of one picture each, as `write_regions` lays them out."""
    for split in ("train", "val"):
        save_picture(tmp_path / "images" / split / "one.jpg", seed=len(split))
        save_map(tmp_path / "masks" / split / "one.png")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def regions_of(root: Path, split: str = "train") -> np.ndarray:
    regions = open_dataset(root, split)[0].scene.regions
    assert regions is not None
    assert regions.dtype == torch.int64
    return regions.numpy()


def test_sparse_ids_become_labels(made: Path) -> None:
    dataset = open_dataset(made, "val")
    assert splits(made) == ["train", "val"]
    assert dataset.region_classes == Vocabulary(("sky", "road", "car"), (0, 2, 7))
    assert dataset.object_classes is None
    assert dataset[0].annotation.regions is None  # decoded when asked for
    np.testing.assert_array_equal(regions_of(made), LABELS)
    assert dataset[0].region_counts(3).tolist() == [(i == LABELS).sum() for i in range(3)]
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[0].scene.regions, LABELS)
    assert not dataset.problems


def test_colours_named_in_the_configuration(made: Path) -> None:
    config = CONFIG | {"colours": {i: list(c) for i, c in COLOURS.items()}}
    (made / "config.yaml").write_text(yaml.safe_dump(config))
    Image.fromarray(painted(IDS)).save(made / "masks/train/one.png")
    np.testing.assert_array_equal(regions_of(made), LABELS)
    strange = painted(IDS)
    strange[3, 4] = (9, 9, 9)
    Image.fromarray(strange).save(made / "masks/train/one.png")
    with pytest.raises(AnnotationError, match="#090909"):
        regions_of(made)


def test_a_palette_in_another_order_is_read_by_its_colours(made: Path) -> None:
    # The first map says which colour is which class; the second has the same colours under other indices.
    save_map(made / "masks/train/one.png", palette=COLOURS)
    turned = {0: 7, 2: 0, 7: 255, 255: 2}
    ids = np.select([i == IDS for i in turned], list(turned.values()))
    save_map(made / "masks/val/one.png", ids, palette={turned[i]: c for i, c in COLOURS.items()})
    for split in ("train", "val"):
        np.testing.assert_array_equal(regions_of(made, split), LABELS)


def test_grey_maps_with_a_grey_palette_are_ids(made: Path) -> None:
    grey = {i: (i, i, i) for i in range(256)}
    for split in ("train", "val"):
        save_map(made / "masks" / split / "one.png", palette=grey)
        np.testing.assert_array_equal(regions_of(made, split), LABELS)


def test_sixteen_bits_and_classes_that_are_void(made: Path) -> None:
    config = CONFIG | {"classes": {0: "sky", 300: "road", 7: "Void"}, "ignore": [9]}
    (made / "config.yaml").write_text(yaml.safe_dump(config))
    ids = np.where(IDS == 2, 300, np.where(IDS == 255, 9, IDS)).astype(np.uint16)
    Image.fromarray(ids).save(made / "masks/train/one.png")
    np.testing.assert_array_equal(regions_of(made), np.select([IDS == 0, IDS == 2], [0, 1], 255))


def test_the_form_of_segnet(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        save_picture(tmp_path / split / "0001TP_1.png")
        save_map(tmp_path / f"{split}annot" / "0001TP_1.png", np.where(IDS == 255, 11, IDS))
    dataset = open_dataset(tmp_path, "test")
    assert splits(tmp_path) == ["train", "val", "test"]
    assert dataset.region_classes is not None
    assert len(dataset.region_classes) == 11
    np.testing.assert_array_equal(regions_of(tmp_path), np.where(IDS == 255, 255, IDS))
    save_map(tmp_path / "trainannot" / "0001TP_1.png", np.where(IDS == 255, 12, IDS))
    with pytest.raises(AnnotationError, match="ids that no class has \\(12\\)"):
        regions_of(tmp_path)


def test_unknown_ids_are_one_line_with_file_and_ids(made: Path) -> None:
    path = save_map(made / "masks/train/one.png", np.where(IDS == 7, 13, np.where(IDS == 0, 200, IDS)))
    with pytest.raises(AnnotationError) as caught:
        regions_of(made)
    assert str(path) in str(caught.value)
    assert "13, 200" in str(caught.value)
    assert "\n" not in str(caught.value)
    report = check({name: open_dataset(made, name) for name in splits(made)})
    assert [(p.kind, p.severity) for p in report.problems if p.path.endswith("train/one.jpg")] == [
        ("broken annotation", "dropped")
    ]
    assert report.fatal  # nothing is left to learn from
    assert report.regions["val"] == {name: int((i == LABELS).sum()) for i, name in enumerate(("sky", "road", "car"))}


def test_bad_maps_are_problems_and_the_others_go_on(made: Path) -> None:
    for name in ("small", "torn", "alone", "bare", "good"):
        if name != "alone":
            save_picture(made / "images/train" / f"{name}.jpg", seed=len(name))
        if name != "bare":
            save_map(made / "masks/train" / f"{name}.png", IDS[:-1] if name == "small" else IDS)
    torn = made / "masks/train/torn.png"
    torn.write_bytes(torn.read_bytes()[:20])
    dataset = open_dataset(made, "train")
    assert [example.name for example in dataset] == ["good", "one"]
    found = {(p.kind, p.severity) for p in dataset.problems}
    assert found == {
        ("wrong size", "dropped"),
        ("unreadable label map", "dropped"),
        ("missing picture", "dropped"),
        ("not annotated", "warning"),
    }
    assert all("\n" not in str(p) for p in dataset.problems)


def test_a_map_that_breaks_behind_its_header(made: Path) -> None:
    path = made / "masks/train/one.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(PictureError, match=r"one\.png"):
        regions_of(made)
    save_map(path, IDS)
    dataset = open_dataset(made, "train")
    save_map(path, IDS[:, :-1])
    with pytest.raises(AnnotationError, match="63x48 but its picture 64x48"):
        _ = dataset[0].scene


@pytest.mark.parametrize("classes", [None, 5, {"a": "sky"}, {}, {0: "sky", 1: "sky"}, {i: str(i) for i in range(256)}])
def test_lists_of_classes_that_are_none(made: Path, classes: object) -> None:
    (made / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"classes": classes}))
    with pytest.raises(AnnotationError) as caught:
        open_dataset(made, "train")
    assert "\n" not in str(caught.value)


@pytest.fixture
def panoptic(tmp_path: Path) -> Path:
    """One picture with three segments in COCO panoptic's form; the last pixels belong to none."""
    save_picture(tmp_path / "val2017" / "one.jpg")
    ids = np.select([IDS == 0, IDS == 2, IDS == 7], [70_000, 5, 300], 0)
    folder = tmp_path / "annotations" / "panoptic_val2017"
    folder.mkdir(parents=True)
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    Image.fromarray(colours).save(folder / "one.png")
    segments = [{"id": 70_000, "category_id": 9}, {"id": 5, "category_id": 1}, {"id": 300, "category_id": 9}]
    value = {
        "images": [{"id": 4, "file_name": "one.jpg", "height": 48, "width": 64}],
        "annotations": [{"image_id": 4, "file_name": "one.png", "segments_info": segments}, {"image_id": 77}],
        "categories": [{"id": 9, "name": "person", "isthing": 1}, {"id": 1, "name": "grass", "isthing": 0}],
    }
    folder.with_suffix(".json").write_text(json.dumps(value))
    return tmp_path


def test_panoptic(panoptic: Path) -> None:
    dataset = open_dataset(panoptic)
    assert splits(panoptic) == ["val2017"]
    assert dataset.region_classes == Vocabulary(("grass", "person"), (1, 9))
    scene = dataset[0].scene
    np.testing.assert_array_equal(scene.regions, np.select([IDS == 2, IDS == 255], [0, 255], 1))
    assert scene.panoptic is not None
    assert scene.panoptic.unique().tolist() == [0, 5, 300, 70_000]
    assert scene.segments is not None
    assert {s["id"]: (s["label"], s["thing"]) for s in scene.segments} == {
        5: (0, False),
        300: (1, True),
        70_000: (1, True),
    }
    assert [p.kind for p in dataset.problems] == ["broken annotation"]
    file = panoptic / "annotations" / "panoptic_val2017.json"
    file.write_text(file.read_text().replace("70000", "70001"))
    with pytest.raises(AnnotationError, match="segments that no class has \\(70000\\)"):
        _ = open_dataset(panoptic)[0].scene
    assert lost_fields(dataset, "regions") == []


def test_broken_entries_of_panoptic_are_told(panoptic: Path) -> None:
    file = panoptic / "annotations" / "panoptic_val2017.json"
    value = json.loads(file.read_text())
    (good, _), (segment, *_) = value["annotations"], value["annotations"][0]["segments_info"]
    value["images"].append({"file_name": "two.jpg"})
    value["annotations"] = [
        good,
        {"image_id": 77},
        {"image_id": 4},
        good | {"segments_info": 3},
        good | {"segments_info": [segment, {"id": 5}]},
        good | {"segments_info": [segment | {"category_id": 99}]},
    ]
    file.write_text(json.dumps(value))
    dataset = open_dataset(panoptic)
    assert len(dataset) == 1
    assert [str(problem).removeprefix(f"{file}: ") for problem in dataset.problems] == [
        "images[1] has no id; dropped",
        "annotations[1] has the image_id 77, which none of the images has; dropped",
        "annotations[2] has no file_name; dropped",
        "annotations[3] has the segments_info 3, which is no list; dropped",
        "annotations[4]: segments_info[1] (id 5) has no category_id; dropped",
        "annotations[5]: segments_info[0] (id 70000) has the category_id 99, which none of the categories has; dropped",
    ]


def objects() -> Dataset:
    """One picture with a large dog, a small cat on it and a crowd, as masks; and one whose masks nobody knows."""
    dense = torch.zeros(3, 48, 64, dtype=torch.bool)
    dense[0, 10:14, 10:20] = True
    dense[1, 5:40, 5:50] = True
    dense[2, 45:, 60:] = True
    boxes = torch.tensor([[10.0, 10, 20, 14], [5, 5, 50, 40], [60, 45, 64, 48]])
    fields = {"boxes": boxes, "labels": torch.tensor([0, 1, 1]), "crowd": torch.tensor([False, False, True])}
    scene = Scene((48, 64), masks=Masks.from_dense(dense), object_classes=CLASSES, **fields)
    pixels = torch.zeros(3, 48, 64, dtype=torch.uint8)
    other = Scene((48, 64), boxes=boxes[:1], labels=torch.tensor([2]), object_classes=CLASSES)
    examples = (Example(Path("masks"), scene, pixels=pixels), Example(Path("boxes"), other, pixels=pixels))
    return Dataset(examples, CLASSES, name="objects", split="train")


def test_masks_of_objects_give_regions(tmp_path: Path) -> None:
    expected = torch.zeros(48, 64, dtype=torch.int64)
    expected[5:40, 5:50] = 2
    expected[10:14, 10:20] = 1
    expected[45:, 60:] = 255
    dataset = objects().with_regions()
    assert dataset.region_classes == Vocabulary(("background", *CLASSES))
    assert dataset.object_classes is None
    assert torch.equal(dataset[0].scene.regions, expected)
    assert dataset[1].scene.regions is None
    assert dataset.with_regions() is dataset
    bare = objects().subset([1])
    assert bare.with_regions() is bare
    write_datasets({"train2017": objects()}, tmp_path / "new", "regions")
    again = open_dataset(tmp_path / "new", "train")
    assert len(again) == 1
    assert torch.equal(again[0].scene.regions, expected)
    with pytest.raises(AnnotationError, match="neither regions nor masks"):
        write_datasets({"train": bare}, tmp_path / "none", "regions")


def test_written_maps_are_read_again(made: Path, tmp_path: Path) -> None:
    write_datasets({name: open_dataset(made, name) for name in splits(made)}, tmp_path / "copy", "regions")
    assert splits(tmp_path / "copy") == ["train", "val"]
    for split in ("train", "val"):
        again = open_dataset(tmp_path / "copy", split)
        assert again.region_classes == Vocabulary(("sky", "road", "car"))
        np.testing.assert_array_equal(again[0].scene.regions, LABELS)
        assert again[0].picture().equal(open_dataset(made, split)[0].picture())


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_loading_moves_picture_and_regions_together(make_regions: Callable[[], Dataset], mosaic: float) -> None:
    # The picture shows its labels: wherever a pixel is known, its colour must still tell its class.
    parts = (Flip(), Affine(chance=1.0), Scale(1.0, 3.0), Crop())
    augmentation = Augmentation((64, 96), parts, colour=None, mosaic=mosaic, fill=(0, 0, 0))
    data = TrainingSet(make_regions(), 128, augmentation)
    batch = collate([data[(epoch, 0)] for epoch in range(4)], (0, 0, 0), multiple=64)
    for picture, scene in zip(batch.pictures, batch.scenes, strict=True):
        regions = scene.regions
        assert regions is not None
        assert regions.dtype == torch.int64
        assert tuple(regions.shape) == (64, 128)
        assert (regions[:, 96:] == 255).all()
        known = regions != 255
        assert known.float().mean() > 0.2
        guessed = ((picture[0].float() - 20) / 100).round().long()
        # Only at borders may a blend of two colours look like another class.
        assert (guessed[known] == regions[known]).float().mean() > 0.9
        assert (picture[:, ~known].float().mean() if (~known).any() else 0) < 60


@pytest.fixture
def make_regions() -> Callable[[], Dataset]:
    """Return a function that makes a data set in which the colour of a pixel is 20 + 100 times its label."""

    def make() -> Dataset:
        regions = torch.from_numpy(np.kron(np.arange(12).reshape(3, 4) % 3, np.ones((24, 24)))).long()
        pixels = (20 + 100 * regions).to(torch.uint8).expand(3, -1, -1).contiguous()
        classes = Vocabulary(("a", "b", "c"))
        scene = Scene((72, 96), regions=regions, region_classes=classes)
        return Dataset((Example(Path("one"), scene, pixels=pixels),), region_classes=classes)

    return make


def test_evaluation_pads_with_ignored_pixels(make_regions: Callable[[], Dataset]) -> None:
    sample = EvaluationSet(make_regions(), 96)[0]
    assert sample.scene.regions is not None
    assert tuple(sample.scene.regions.shape) == (96, 96)
    assert (sample.scene.regions[72:] == 255).all()
    assert torch.equal(sample.scene.regions[:72], make_regions()[0].scene.regions)


def test_real_data(shared_data: Path) -> None:
    train = open_dataset(shared_data / "camvid", "train")
    assert len(train) == 367
    assert not train.problems
    with Image.open(shared_data / "camvid" / "trainannot" / "0001TP_006690.png") as image:
        ids = np.asarray(image)
    np.testing.assert_array_equal(train[0].scene.regions, np.where(ids == 11, 255, ids))
    semantic, panoptic = (
        open_dataset(shared_data / "coco256" / f"{kind}_segmentation", "val") for kind in ("semantic", "panoptic")
    )
    assert len(semantic) == len(panoptic) == 100
    by_name = {example.name: example for example in panoptic}
    assert semantic.region_classes is not None
    assert panoptic.region_classes is not None
    shared = 0
    for example in list(semantic)[:10]:
        one, two = example.scene.regions, by_name[example.name].scene.regions
        assert one is not None
        assert two is not None
        for label in one.unique().tolist():
            name = None if label == 255 else semantic.region_classes[label]
            if name in panoptic.region_classes:
                same = two[one == label] == panoptic.region_classes.index(name)
                shared += 1
                assert same.float().mean() > 0.9, name
    assert shared > 20


def test_a_broken_description_is_no_folder_per_class(made: Path) -> None:
    (made / "config.yaml").write_text("classes: [sky\ntrain: {")
    with pytest.raises(AnnotationError, match=r"config\.yaml: is not valid YAML"):
        open_dataset(made)
