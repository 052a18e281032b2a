"""Made digits: turned and placed as said, the same for the same key, and MNIST's files whole or refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from allsight.data.formats.idx import idx_splits, read_idx
from allsight.data.made.digits import PIECE, TASKS, DigitSet, Distortion, distort, scatter
from allsight.errors import AnnotationError


def write(folder: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Write MNIST's form, by its description."""
    for array, name in ((images, "images-idx3"), (labels, "labels-idx1")):
        head = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (folder / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures of 8 x 8, of the classes 0 to 4: a bright bar down the left side."""
    images = np.zeros((5, 8, 8), np.uint8)
    images[:, 1:7, 1:3] = 50 * np.arange(1, 6)[:, None, None]
    for split in ("train", "t10k"):
        write(tmp_path, split, images, np.arange(5, dtype=np.uint8))
    return tmp_path


def test_mnists_form_is_read(folder: Path) -> None:
    assert list(idx_splits(folder)) == ["test", "train"]
    dataset = read_idx(folder, "test")
    assert dataset.tag_classes is not None
    assert dataset.tag_classes.names == ("0", "1", "2", "3", "4")
    assert [int(example.annotation.tags.argmax()) for example in dataset] == [0, 1, 2, 3, 4]
    assert dataset[3].picture().shape == (3, 8, 8)
    assert dataset[3].picture()[:, 3, 1].tolist() == [200, 200, 200]


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\10\3", gzip.compress(b"\0\0\10\1\0\0\0\5\1\2", mtime=0), b"\x1f\x8b\x08rubbish"]
)
def test_a_damaged_file_is_one_clear_line(folder: Path, content: bytes) -> None:
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(AnnotationError, match=r"train-labels-idx1-ubyte.gz: .*again"):
        read_idx(folder, "train")


def test_files_that_do_not_fit_together(folder: Path) -> None:
    write(folder, "train", np.zeros((5, 8, 8), np.uint8), np.zeros(4, np.uint8))
    with pytest.raises(AnnotationError, match="5 pictures for 4 labels"):
        read_idx(folder, "train")


def test_real_mnist(shared_data: Path) -> None:
    dataset = read_idx(shared_data / "mnist", "test")
    assert len(dataset) == 10_000
    assert [int(e.annotation.tags.argmax()) for e in dataset.subset(range(8))] == [7, 2, 1, 0, 4, 1, 4, 9]


def test_turning_by_a_right_angle_is_numpys() -> None:
    pictures = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    numbers = torch.tensor([0.5, 0, 0, 0]).repeat(3, 1)
    numbers[1, 0], numbers[2, 0] = 1.0, 0.0
    made = distort(pictures, numbers, Distortion(size=8, turn=90))
    assert torch.equal(made[0], pictures[0])
    for i, turns in ((1, -1), (2, 1)):
        assert (made[i].int() - torch.rot90(pictures[i], turns).int()).abs().max() <= 1


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.25, 1.0)])
def test_a_shifted_digit_stays_whole_inside(x: float, y: float) -> None:
    picture = torch.randint(1, 256, (1, 8, 8), dtype=torch.uint8)
    made = distort(picture, torch.tensor([[0.5, 0, x, y]]), Distortion(size=24, shifted=True))[0]
    assert int(made.int().sum()) == pytest.approx(int(picture.int().sum()), rel=0.02)
    rows, columns = made.nonzero().unbind(1)
    assert abs(float(columns.float().mean()) - (3.5 + 16 * x)) < 0.5
    assert abs(float(rows.float().mean()) - (3.5 + 16 * y)) < 0.5


def test_clutter_is_pieces_of_digits() -> None:
    pictures = torch.full((4, 28, 28), 7, dtype=torch.uint8)
    made = scatter(pictures, torch.rand(5, 1, 5), 60)
    assert made.shape == (5, 1, 60, 60)
    assert made.flatten(1).bool().sum(1).tolist() == [PIECE**2] * 5


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_depends_on_its_key_alone(task: str, folder: Path) -> None:
    dataset = read_idx(folder, "train")
    one, two = (DigitSet(dataset, TASKS[task], seed=3) for _ in range(2))
    first = one.collate([one[0, i] for i in range(5)])
    again = two.collate([two[0, i] for i in (4, 2)])
    assert torch.equal(first.pictures[[4, 2]], again.pictures)
    if task != "plain":
        assert not torch.equal(first.pictures, one.collate([one[1, i] for i in range(5)]).pictures)


def test_the_class_of_two_digits_is_their_sum(folder: Path) -> None:
    made = DigitSet(read_idx(folder, "train"), TASKS["addition"])
    draws = [made[0, i] for i in range(5)]
    batch = made.collate(draws)
    assert len(made.classes) == 9
    for i, (draw, scene) in enumerate(zip(draws, batch.scenes, strict=True)):
        assert int(scene.tags.argmax()) == int(draw.digits.sum())  # the fixture's labels are the indices
        brightest = batch.pictures[i].flatten(1).amax(1).tolist()
        assert brightest[2] == 0
        assert brightest[0] >= 25 * (int(draw.digits[0]) + 1)
        assert brightest[1] >= 25 * (int(draw.digits[1]) + 1)
