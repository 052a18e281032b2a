import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import tiny_detector

from allsight.predict import Predictor
from allsight.predict.tiles import OVERLAP, scene_of_tiles, tile_corners
from allsight.scene import Scene, Vocabulary


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(16, 640))
def test_tiles_cover_the_picture_and_overlap(height, width, tile):
    corners = tile_corners((height, width), tile)
    for axis, length in enumerate((height, width)):
        starts = sorted({corner[axis] for corner in corners})
        assert starts[0] == 0
        assert starts[-1] == max(0, length - tile)
        assert all(b - a <= tile * (1 - OVERLAP) + 1 for a, b in itertools.pairwise(starts))
    assert len(set(corners)) == len(corners)


class Finder(Predictor):
    """Boxes the bright pixels of each picture it is given: an ideal detector of one object."""

    def scenes(self, pictures):
        return [find(picture) for picture in pictures]


def find(picture: torch.Tensor) -> Scene:
    rows, columns = (picture[0] > 127).nonzero(as_tuple=True)
    boxes = torch.zeros(0, 4)
    if len(rows):
        boxes = torch.tensor([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]).float()
    return Scene(
        tuple(picture.shape[1:]),
        boxes=boxes,
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        scores=torch.full((len(boxes),), 0.9),
        object_classes=Vocabulary(("spot",)),
    )


@given(st.integers(0, 200), st.integers(0, 140), st.integers(4, 16))
def test_an_object_is_found_once_and_whole_wherever_it_lies(x, y, side):
    picture = torch.zeros(3, 160, 220, dtype=torch.uint8)
    picture[:, y : y + side, x : x + side] = 255
    blind = find(torch.zeros_like(picture))  # too small to be seen in the whole picture
    scene = scene_of_tiles(FINDER, picture, blind)
    assert scene.size == (160, 220)
    torch.testing.assert_close(scene.boxes, find(picture).boxes)


FINDER = Finder(tiny_detector(), precision="float32")


def test_a_small_picture_is_one_tile():
    picture = torch.zeros(3, 64, 64, dtype=torch.uint8)
    whole = find(picture)
    assert scene_of_tiles(FINDER, picture, whole) is whole
