"""Samples are a function of (seed, epoch, index); batches are padded, and answers find the way back."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from allsight.data.formats.catalogue import open_dataset
from allsight.data.pictures import dataset as dataset_module
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset
from allsight.data.pictures.loading import Batch, Cache, EvaluationSet, Sample, TrainingSet, collate
from allsight.errors import PictureError
from allsight.machine.randomness import generator
from allsight.scene import Frame, Scene

from ..conftest import CLASSES

MadeDataset = Callable[..., Dataset]


def sample_of(height: int, width: int, box: list[float]) -> Sample:
    scene = Scene((height, width), boxes=torch.tensor([box]), labels=torch.tensor([1]))
    picture = torch.full((3, height, width), 200, dtype=torch.uint8)
    return Sample(picture, scene, f"{height}x{width}", Frame.whole((height, width)))


def test_collate_pads_to_the_largest_and_to_the_stride() -> None:
    batch = collate([sample_of(40, 70, [1, 2, 30, 40]), sample_of(65, 20, [0, 0, 20, 65])], fill=(1, 2, 3))
    assert batch.pictures.shape == (2, 3, 96, 96)
    assert batch.pictures[0, :, 39, 69].tolist() == [200] * 3
    assert batch.pictures[0, :, 40, 69].tolist() == [1, 2, 3]
    assert [scene.size for scene in batch.scenes] == [(96, 96)] * 2
    assert batch.scenes[0].boxes.tolist() == [[1, 2, 30, 40]]
    assert batch.frames[1] == Frame((65, 20), (65, 20), (96, 96))
    assert batch.names == ["40x70", "65x20"]
    assert collate([sample_of(64, 32, [0, 0, 1, 1])]).pictures.shape == (1, 3, 64, 32)


def test_evaluation_finds_the_way_back(make_dataset: MadeDataset) -> None:
    made = make_dataset([(0, 3, 5, 60, 40), (2, 0, 0, 64, 48)], [])
    for longest in (32, 64, 100):
        batch = collate([EvaluationSet(made, longest)[i] for i in range(2)])
        for frame, scene, example in zip(batch.frames, batch.scenes, made, strict=True):
            back = frame.to_original(scene)
            assert torch.allclose(back.boxes, example.scene.boxes, atol=1e-4)
            assert back.size == example.scene.size


def test_the_generator_is_a_function_of_seed_epoch_and_index() -> None:
    draws = {
        tuple(torch.rand(4, generator=generator(s, e, i)).tolist())
        for s in range(4)
        for e in range(4)
        for i in range(4)
    }
    assert len(draws) == 64
    assert torch.equal(torch.rand(4, generator=generator(1, 2, 3)), torch.rand(4, generator=generator(1, 2, 3)))


def same(one: Batch, two: Batch) -> bool:
    boxes = zip(one.scenes, two.scenes, strict=True)
    return torch.equal(one.pictures, two.pictures) and all(torch.equal(a.boxes, b.boxes) for a, b in boxes)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_give_the_same_batches(start: str, make_dataset: MadeDataset) -> None:
    if start not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    made = make_dataset(*[[(i % 3, 3, 5, 40, 40)] for i in range(6)])
    training = TrainingSet(made, 64, Augmentation((64, 64), mosaic=0.5), seed=3)
    keys = [(epoch, index) for epoch in range(2) for index in (4, 1, 0, 5, 3, 2)]
    alone = list(DataLoader(training, 3, sampler=keys, collate_fn=collate))
    workers = DataLoader(training, 3, sampler=keys, collate_fn=collate, num_workers=2, multiprocessing_context=start)
    assert all(same(one, two) for one, two in zip(alone, workers, strict=True))


def test_each_picture_is_decoded_once(make_dataset: MadeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_dataset([(0, 3, 5, 40, 40)], [(1, 3, 5, 40, 40)])
    read: list[Path] = []
    real = dataset_module.read_picture

    def counted(path: Path, **options: int) -> torch.Tensor:
        read.append(path)
        return real(path, **options)

    monkeypatch.setattr(dataset_module, "read_picture", counted)
    training = TrainingSet(made, 32, Augmentation((32, 32)))
    for epoch in range(3):
        for index in range(2):
            training[(epoch, index)]
    assert len(read) == 2
    assert training.load(0).picture.shape == (3, 24, 32)
    assert TrainingSet(made, 640).load(0).picture.shape == (3, 48, 64)  # never scaled up


def test_augmentation_does_not_touch_the_cache(make_dataset: MadeDataset) -> None:
    training = TrainingSet(make_dataset([(0, 3, 5, 40, 40)]), 64, Augmentation((64, 64), mosaic=0.5))
    before = copy.deepcopy(training.load(0))
    for epoch in range(20):
        training[(epoch, 0)]
    assert torch.equal(before.picture, training.load(0).picture)
    assert torch.equal(before.scene.boxes, training.load(0).scene.boxes)


def test_the_cache_stays_within_its_bytes() -> None:
    cache = Cache(3 * 3 * 10 * 10)
    for i in range(5):
        cache.put(i, sample_of(10, 10, [0, 0, 1, 1]))
        cache.get(0)
    assert [cache.get(i) is not None for i in range(5)] == [True, False, False, True, True]
    assert cache.held <= cache.limit
    cache.put(9, sample_of(100, 100, [0, 0, 1, 1]))
    assert cache.get(9) is None


def test_a_picture_that_has_gone_is_named(make_dataset: MadeDataset) -> None:
    made = make_dataset([])
    made[0].path.unlink()
    with pytest.raises(PictureError, match=r"picture 0\.png: does not exist"):
        TrainingSet(made, 32)[(0, 0)]


def test_labels_follow_another_vocabulary(make_dataset: MadeDataset) -> None:
    from allsight.scene import Vocabulary

    made = make_dataset([(0, 1, 1, 9, 9), (1, 2, 2, 8, 8), (2, 3, 3, 7, 7)])
    other = made.with_classes(Vocabulary(("traffic light", "cat")))
    assert other[0].scene.names() == ["cat", "traffic light"]
    assert other[0].scene.labels.tolist() == [1, 0]
    assert ["dog" in str(problem) for problem in other.problems] == [True]
    assert made.with_classes(CLASSES) is made


def test_bccd_in_batches(shared_data: Path) -> None:
    training = TrainingSet(open_dataset(shared_data / "bccd", "train"), 400, Augmentation((320, 320), mosaic=0.3))
    batch = collate([training[(0, i)] for i in range(8)])
    assert batch.pictures.shape == (8, 3, 320, 320)
    for scene in batch.scenes:
        assert len(scene) > 0
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        assert scene.boxes.min() >= 0
        assert scene.boxes.max() <= 320
