"""The pictures that losses on dense heads are compared on: nearly empty, a seed's own, the same for all arms."""

from pathlib import Path

from allsight.claims.detection.dense_losses import SIDE, sparse_scenes
from allsight.claims.method.claim import Run
from allsight.data.formats.catalogue import open_dataset


def test_scenes_are_nearly_empty_and_of_their_seed(tmp_path: Path) -> None:
    run = Run(tmp_path, seed=0, quick=True, scratch=tmp_path / "scratch")
    folder = sparse_scenes(run)
    parts = {split: open_dataset(folder, split) for split in ("train", "val")}
    for part in parts.values():
        for example in part:
            boxes = example.annotation.boxes
            assert boxes is not None and 1 <= len(boxes) <= 2
            sides = boxes[:, 2:] - boxes[:, :2]
            assert sides.prod(1).sum() < 0.02 * SIDE**2
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert sparse_scenes(run) == folder
    assert {path: path.stat().st_mtime_ns for path in written} == written  # made once, for all arms
    other = sparse_scenes(Run(tmp_path, seed=1, quick=True, scratch=tmp_path / "scratch"))
    firsts = [open_dataset(f, s)[0].picture() for f, s in ((folder, "train"), (folder, "val"), (other, "train"))]
    assert not any((firsts[i] == firsts[j]).all() for i, j in ((0, 1), (0, 2), (1, 2)))
