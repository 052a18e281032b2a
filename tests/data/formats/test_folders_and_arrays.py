"""Classes from folders and from arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch

from allsight.data.formats.arrays import read_arrays
from allsight.data.formats.folders import folder_splits, read_folders, write_folders
from allsight.errors import AnnotationError

from ..conftest import save_picture


def test_splits_share_their_classes(tmp_path: Path) -> None:
    for name in ("train/cat/1.jpg", "train/dog 2/ü.png", "val/cat/3.jpg"):
        save_picture(tmp_path / name)
    (tmp_path / "train" / "cat" / "broken.jpg").write_bytes(b"")
    assert folder_splits(tmp_path) == ["train", "val"]
    train, val = read_folders(tmp_path, "train"), read_folders(tmp_path, "val")
    assert train.tag_classes is not None
    assert train.tag_classes.names == ("cat", "dog 2")
    assert [e.scene.tags.tolist() for e in train] == [[1, 0], [0, 1]]
    assert [e.scene.tags.tolist() for e in val] == [[1, 0]]
    assert [p.kind for p in train.problems] == ["unreadable picture"]
    assert train[0].scene.boxes is None


def test_a_picture_of_two_classes_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    save_picture(tmp_path / "in" / "cat" / "1.jpg")
    save_picture(tmp_path / "in" / "dog" / "1.jpg")
    dataset = read_folders(tmp_path / "in")
    both = replace(dataset[0], annotation=dataset[0].annotation.with_(tags=torch.ones(2)))
    with pytest.raises(AnnotationError, match="exactly one class"):
        write_folders(replace(dataset, examples=(both,)), tmp_path / "out")


def save(path: Path, **changes: object) -> Path:
    arrays = {"images": np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3), "labels": np.array([1, 0])}
    np.savez(path, **{k: v for k, v in (arrays | {"classes": np.array(["a", "b"])} | changes).items() if v is not None})
    return path


def test_arrays(tmp_path: Path) -> None:
    dataset = read_arrays(save(tmp_path / "train.npz"))
    assert dataset[1].picture()[:, 2, 3].tolist() == [60 + 2 * 15 + 9 + i for i in range(3)]
    assert dataset[0].scene.tags.tolist() == [0, 1]
    assert dataset[0].scene.size == (4, 5)
    grey = read_arrays(save(tmp_path / "train.npz", images=np.full((2, 4, 5), 7, np.uint8), classes=None))
    assert grey[0].picture().unique().tolist() == [7]
    assert grey[0].picture().shape == (3, 4, 5)


def test_bad_arrays(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    dataset = read_arrays(save(path, labels=np.array([1, 5])))
    assert (len(dataset), [p.kind for p in dataset.problems]) == (1, ["unknown class"])
    wrong: list[dict[str, object]] = [
        {"images": None},
        {"images": np.zeros((2, 4, 5, 3))},
        {"labels": np.array([1])},
        {"labels": np.array([0.5, 1])},
        {"images": np.array([{"malicious": "pickle"}, 2], dtype=object)},
    ]
    for changes in wrong:
        with pytest.raises(AnnotationError, match=r"train\.npz"):
            read_arrays(save(path, **changes))
    path.write_bytes(b"PK broken")
    with pytest.raises(AnnotationError, match="not a readable"):
        read_arrays(path)
    with pytest.raises(AnnotationError, match="no arrays"):
        read_arrays(tmp_path, "val")
