import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import tiny_detector

from allsight.errors import OutputError
from allsight.predict import Predictor, stream
from allsight.predict.order import AHEAD, batches, in_order


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(tiny_detector(), precision="float32")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = []
    for i in range(7):
        pixels = np.random.default_rng(i).integers(0, 256, (30 + i, 50, 3), dtype=np.uint8)
        found.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(found[-1])
    found[3].write_bytes(b"no picture")
    return found


@pytest.mark.parametrize("drawn", [False, True])
def test_order_scenes_and_failures(drawn, predictor, paths):
    seen = list(stream(predictor, paths, then=(lambda path, picture, scene: path.name) if drawn else None))
    assert [item.path for item in seen] == paths
    assert [item.error is not None for item in seen] == [i == 3 for i in range(7)]
    for item in seen:
        if item.scene is None:
            assert "is not a picture" in str(item.error)
            continue
        assert item.scene.source == str(item.path)
        assert item.result == (item.path.name if drawn else None)
        torch.testing.assert_close(item.scene.boxes, predictor(item.path).boxes)


def test_a_picture_that_cannot_be_finished_is_reported(predictor, paths):
    def fail(path: Path, *_: object) -> None:
        if path == paths[5]:
            raise OutputError("disk")

    seen = list(stream(predictor, paths, then=fail))
    assert [i for i, item in enumerate(seen) if isinstance(item.error, OutputError)] == [5]


@pytest.mark.parametrize("full_size", [True, False])
def test_a_picture_comes_in_full_size_unless_less_will_do(full_size, predictor, tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (1200, 800), "teal").save(path)
    (seen,) = stream(predictor, [path], then=lambda path, picture, scene: picture.shape, full_size=full_size)
    assert (tuple(seen.result) == (3, 800, 1200)) == full_size
    assert seen.scene.size == (800, 1200)


def test_pictures_are_taken_only_as_they_are_used(predictor, paths):
    taken = []
    before = set(threading.enumerate())

    def endless():
        while True:
            taken.append(1)
            yield paths[0]

    first = stream(predictor, endless(), then=lambda *_: None, workers=2)
    next(first)
    assert len(taken) <= 2 * AHEAD + 1
    first.close()
    assert not any(thread.name.startswith("ThreadPool") for thread in set(threading.enumerate()) - before)


def test_jpegs_decoded_at_reduced_scale_answer_in_full_pixels(predictor, tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (900, 700), (200, 30, 30)).save(path)
    (item,) = stream(predictor, [path])
    assert item.scene.size == (700, 900)
    full = predictor(path)
    assert len(item.scene) == len(full)
    torch.testing.assert_close(item.scene.scores, full.scores, atol=0.02, rtol=0)


def test_work_is_done_in_order_and_no_further_than_the_window():
    begun = []
    results = in_order(lambda i: begun.append(i) or i * i, range(100), workers=2)
    assert [next(results) for _ in range(2)] == [0, 1]
    assert max(begun) <= 2 * AHEAD + 2
    results.close()
    assert list(in_order(str, range(30), workers=3)) == [str(i) for i in range(30)]
    assert list(in_order(str, [])) == []


def test_torch_computes_on_one_thread_each_until_all_is_done():
    before = torch.get_num_threads()
    assert set(in_order(lambda _: torch.get_num_threads(), range(9), workers=2)) == {1}
    assert torch.get_num_threads() == before
    broken_off = in_order(str, range(9), workers=2)
    next(broken_off)
    broken_off.close()
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == before


def test_the_first_item_is_done_before_others_begin():
    under_way, most = [], []

    def work(i: int) -> None:
        under_way.append(i)
        if i == 0:
            time.sleep(0.05)
            most.extend(under_way)

    list(in_order(work, range(9), workers=4))
    assert most == [0]


def test_a_fault_in_the_work_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda i: 1 // i, [1, 0, 1]))


def test_batches():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
