"""Maps read at the pixels of the original picture, against interpolation of the whole and against four neighbours."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.ops import pixels
from allsight.ops.pixels import at_pixels, best_at_pixels, likeliest
from allsight.scene import Frame


def test_convention_decode_reads_logits_at_pixel_centres() -> None:
    # Scaled up, unpadded and asked at every original pixel by another way: interpolate, cut, take the best.
    logits = torch.randn(3, 24, 32, generator=torch.Generator().manual_seed(0))
    frame = Frame.fit((90, 120), longest=120, multiple=32)
    assert frame.padded == (96, 128)
    whole = F.interpolate(logits[None], size=frame.padded, mode="bilinear", align_corners=False)
    assert torch.equal(likeliest(logits, frame), whole[0, :, :90, :120].argmax(0))


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([32, 64]), st.sampled_from([1, 2, 4, 8, 32]))
@settings(max_examples=40, deadline=None)
def test_decode_of_any_size_is_bilinear_reading(height: int, width: int, longest: int, stride: int) -> None:
    frame = Frame.fit((height, width), longest)
    cells = (frame.padded[0] // stride, frame.padded[1] // stride)
    logits = torch.randn(3, *cells, generator=torch.Generator().manual_seed(height), dtype=torch.float64)
    found = likeliest(logits, frame)
    assert tuple(found.shape) == (height, width)
    for y, x in {(0, 0), (height - 1, width - 1), (height // 2, width // 3)}:
        v = np.clip((y + 0.5) * frame.scale[0] / stride - 0.5, 0, cells[0] - 1)
        u = np.clip((x + 0.5) * frame.scale[1] / stride - 0.5, 0, cells[1] - 1)
        top, left = int(v), int(u)
        bottom, right = min(top + 1, cells[0] - 1), min(left + 1, cells[1] - 1)
        upper = logits[:, top, left] * (1 - u + left) + logits[:, top, right] * (u - left)
        lower = logits[:, bottom, left] * (1 - u + left) + logits[:, bottom, right] * (u - left)
        assert int(found[y, x]) == int((upper * (1 - v + top) + lower * (v - top)).argmax())


@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_maps_that_cannot_be_the_greatest_are_left_out_and_not_missed(seed: int, h: int, w: int, count: int) -> None:
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, count, 3, 3, generator=random, dtype=torch.float64)  # smooth, so that some never win
    maps = F.interpolate(coarse, size=(h, w), mode="bilinear")[0]
    frame = Frame((29, 37), (29, 37), (32, 40))
    values, labels = best_at_pixels(maps, frame)
    every = at_pixels(maps, frame)
    torch.testing.assert_close(values, every.amax(0))
    torch.testing.assert_close(every.gather(0, labels[None])[0], values)


def test_of_equal_maps_the_first_is_the_greatest() -> None:
    maps = torch.randn(1, 4, 4).expand(3, -1, -1)
    assert best_at_pixels(maps, Frame.whole((8, 8)))[1].unique().tolist() == [0]


def test_bands_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, frame = torch.randn(3, 16, 16), Frame.fit((77, 100), 64)
    whole = likeliest(logits, frame)
    monkeypatch.setattr(pixels, "BAND", 700)
    assert torch.equal(likeliest(logits, frame), whole)
