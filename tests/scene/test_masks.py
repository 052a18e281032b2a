"""Packed masks against dense ones and against pycocotools."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from scene_examples import example
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene import Masks
from allsight.scene.geometry import scaling, translation
from allsight.scene.masks import LateMasks

seeds = st.integers(0, 2**32 - 1)


@st.composite
def stacks(draw: st.DrawFn) -> Tensor:
    """Dense masks of any size, empty, full and absent ones among them."""
    shape = draw(st.integers(0, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    numbers = np.random.default_rng(draw(seeds))
    share = numbers.choice([0.0, 0.1, 0.5, 1.0], (shape[0], 1, 1))
    return torch.from_numpy(numbers.random(shape) < share)


@given(stacks())
def test_packing_loses_nothing(dense: Tensor) -> None:
    masks = Masks.from_dense(dense)
    assert len(masks) == len(dense)
    assert torch.equal(masks.dense(), dense)
    assert torch.equal(masks.tight().dense(), dense)
    assert masks.area().tolist() == dense.sum((1, 2)).tolist()


@given(stacks())
def test_boxes_and_windows_are_tight(dense: Tensor) -> None:
    masks = Masks.from_dense(dense)
    for mask, box, window in zip(dense, masks.boxes().tolist(), masks.windows.tolist(), strict=True):
        y, x = mask.nonzero().T
        wanted = [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0]
        assert box == [int(w) for w in wanted]
        assert window == box


def test_convention_the_first_pixel_covers_zero_to_one() -> None:
    dense = torch.zeros(1, 4, 5, dtype=torch.bool)
    dense[0, 0, 0] = True
    assert Masks.from_dense(dense).boxes().tolist() == [[0, 0, 1, 1]]


@given(stacks())
def test_run_lengths_are_those_of_pycocotools(dense: Tensor) -> None:
    masks = Masks.from_dense(dense)
    codes = masks.to_rle()
    for mask, code in zip(dense, codes, strict=True):
        wanted = coco.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
        assert code == {"size": list(mask.shape), "counts": wanted["counts"].decode()}
    size = (dense.shape[1], dense.shape[2])
    back = Masks.from_rle(codes, size)
    assert torch.equal(back.dense(), dense)
    assert torch.equal(back.windows, masks.windows)


@given(stacks())
def test_plain_run_lengths_are_read_too(dense: Tensor) -> None:
    codes = []
    for mask in dense.numpy():
        column = np.concatenate([[0], mask.T.ravel().astype(int), [1 - mask.T.ravel()[-1]]])
        changes = np.flatnonzero(np.diff(column))
        runs = np.diff(np.concatenate([[0], changes]))
        codes.append({"size": list(mask.shape), "counts": [int(run) for run in runs]})
    assert torch.equal(Masks.from_rle(codes, (dense.shape[1], dense.shape[2])).dense(), dense)


def test_polygons_are_drawn_as_pycocotools_draws_them() -> None:
    rings = [[[1.5, 1, 7, 2, 5.2, 8]], [[0, 0, 4, 0, 4, 4, 0, 4], [6, 6, 9, 6, 9, 9]]]
    masks = Masks.from_polygons(rings, (10, 12))
    for mask, each in zip(masks.dense(), rings, strict=True):
        wanted = coco.decode(coco.merge(coco.frPyObjects(each, 10, 12)))
        assert torch.equal(mask, torch.from_numpy(wanted).bool())


@settings(max_examples=40)
@given(stacks(), seeds)
def test_selection_is_that_of_the_dense_stack(dense: Tensor, seed: int) -> None:
    masks, numbers = Masks.from_dense(dense), np.random.default_rng(seed)
    flags = torch.from_numpy(numbers.random(len(dense)) < 0.5)
    places = torch.from_numpy(numbers.integers(0, max(len(dense), 1), 6 if len(dense) else 0))
    assert torch.equal(masks[flags].dense(), dense[flags])
    assert torch.equal(masks[places].dense(), dense[places])
    assert torch.equal(Masks.cat([masks, masks[places]]).dense(), torch.cat([dense, dense[places]]))


@settings(max_examples=40)
@given(stacks(), seeds)
def test_late_masks_are_the_same_and_only_those_looked_at_are_made(dense: Tensor, seed: int) -> None:
    masks, numbers = Masks.from_dense(dense), np.random.default_rng(seed)
    made = []

    def maker(i: int) -> Tensor:
        made.append(i)
        return masks[torch.tensor([i])].bits

    late = LateMasks([lambda i=i: maker(i) for i in range(len(dense))], masks.windows, masks.size)
    places = torch.from_numpy(numbers.permutation(len(dense))[: len(dense) // 2])
    chosen = Masks.cat([masks, late[places]])[len(dense) + torch.arange(len(places))]
    assert made == []
    assert torch.equal(chosen.dense(), dense[places])
    assert made == places.tolist()
    assert chosen.area().tolist() == dense[places].sum((1, 2)).tolist()
    assert torch.equal(pickle.loads(pickle.dumps(late)).dense(), dense)


@settings(max_examples=40)
@given(seeds, st.floats(-3.2, 3.2), st.floats(0.4, 2.5), st.floats(-4, 4), st.floats(-4, 4))
def test_affine_is_that_of_the_dense_grid(seed: int, turn: float, scale: float, x: float, y: float) -> None:
    masks = example(seed, dense=False).masks
    assert masks is not None
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    matrix = torch.tensor([[cos, -sin, x], [sin, 0.9 * cos, y], [0, 0, 1]], dtype=torch.float64)
    if abs(torch.det(matrix)) < 0.05:
        return
    size = (11, 13)
    moved = masks.affine(matrix, size)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    centres = np.stack([columns, rows, np.ones(size)], axis=-1)
    source = np.floor(centres @ np.linalg.inv(matrix.numpy()).T)[..., :2].astype(int)
    inside = (source >= 0).all(-1) & (source < [masks.size[1], masks.size[0]]).all(-1)
    held = source.clip(0, [masks.size[1] - 1, masks.size[0] - 1])
    wanted = masks.dense().numpy()[:, held[..., 1], held[..., 0]] & inside
    # A centre that falls on a pixel's border may go either way by rounding.
    near = np.abs((exact := centres @ np.linalg.inv(matrix.numpy()).T) - exact.round())[..., :2].min(-1) < 1e-9
    assert ((moved.dense().numpy() == wanted) | near).all()


def test_many_small_masks_stay_small() -> None:
    windows = torch.randint(0, 900, (375, 2), generator=torch.Generator().manual_seed(0))
    masks = Masks(torch.ones(375 * 400, dtype=torch.bool), torch.cat([windows, windows + 20], dim=1), (1000, 1000))
    assert masks.bits.numel() == 375 * 400
    assert masks.tight().bits.numel() == 375 * 400
    assert masks.area().tolist() == [400.0] * 375


def test_blank_masks_cover_nothing() -> None:
    blank = Masks.blank(2, (5, 6))
    assert len(blank) == 2
    assert not blank.dense().any()
    assert torch.equal(Masks.from_rle(blank.to_rle(), (5, 6)).dense(), blank.dense())
    assert len(Masks.from_rle([], (5, 6))) == len(Masks.blank(0, (5, 6))) == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(AnnotationError, match="packed bits"):
        Masks(torch.zeros(3, dtype=torch.bool), torch.tensor([[0, 0, 2, 2]]), (5, 5))
    with pytest.raises(AnnotationError, match="lies on a picture"):
        Masks.from_rle(Masks.blank(1, (5, 5)).to_rle(), (5, 6))


@pytest.mark.parametrize("size", [(70, 90), (300, 411), (37, 20)])
def test_large_and_small_windows_are_read_alike(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    dense = torch.rand(4, 60, 80, generator=torch.Generator().manual_seed(0)) > 0.4
    dense[1] = False
    dense[2, :30, 10:] = False
    masks = Masks.from_dense(dense)
    matrix = translation(-3.3, 4.6) @ scaling(-size[1] / 80, size[0] / 60) @ translation(-70, 0)
    read = []
    for large in (0, 10**9):
        monkeypatch.setattr("allsight.scene.masks._LARGE", large)
        read.append(masks.affine(matrix, size))
    assert torch.equal(read[0].bits, read[1].bits)
    assert torch.equal(read[0].windows, read[1].windows)
    assert read[0].area()[0] > 0


@pytest.mark.parametrize("seed", range(5))
def test_a_map_of_instances_is_one_mask_for_each_number(seed: int) -> None:
    labels = torch.randint(0, 6, (7, 9), generator=torch.Generator().manual_seed(seed)) * 1000
    found = Masks.from_labels(labels)
    numbers = [number for number in labels.unique().tolist() if number]
    assert torch.equal(found.dense(), torch.stack([labels == number for number in numbers]))
    assert torch.equal(found.windows.float(), found.boxes())


def test_a_map_without_instances() -> None:
    assert len(Masks.from_labels(torch.zeros(4, 5, dtype=torch.int32))) == 0


@pytest.mark.parametrize("seed", range(4))
def test_crops_are_what_grid_sample_reads(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    dense = torch.rand(3, 9, 12, generator=random) > 0.5
    which = torch.tensor([2, 0, 1, 1])
    corner = torch.rand(4, 2, generator=random) * 8 - 2
    boxes = torch.cat([corner, corner + 0.5 + 8 * torch.rand(4, 2, generator=random)], dim=1)
    found = Masks.from_dense(dense).crop(which, boxes, 5)
    cells = (torch.arange(5) + 0.5) / 5
    x, y = (boxes[:, i, None] + (boxes[:, i + 2] - boxes[:, i])[:, None] * cells for i in (0, 1))
    grid = torch.stack(
        [(2 * x / 12 - 1)[:, None, :].expand(-1, 5, -1), (2 * y / 9 - 1)[:, :, None].expand(-1, -1, 5)], dim=-1
    )
    expected = torch.nn.functional.grid_sample(dense[which, None].float(), grid, align_corners=False)[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_crops_of_no_masks() -> None:
    assert Masks.blank(2, (5, 5)).crop(torch.tensor([1]), torch.tensor([[0.0, 0, 5, 5]]), 3).sum() == 0
    assert Masks.blank(0, (5, 5)).crop(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 3).shape == (0, 3, 3)
