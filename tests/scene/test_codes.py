"""Run-length codes of whole label maps against pycocotools, one label at a time."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from allsight.scene.codes import label_codes


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 4), st.integers(0, 2**31))
def test_every_label_has_the_code_that_pycocotools_gives_it(height: int, width: int, labels: int, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    values = np.array([0, 7, 255, 70_000])[:labels]
    map_ = numbers.choice(values, (height, width))
    found = label_codes(torch.from_numpy(map_))
    assert list(found) == np.unique(map_).tolist()
    for label, code in found.items():
        expected = coco.encode(np.asfortranarray(map_ == label).astype(np.uint8))
        assert code == {"size": [height, width], "counts": expected["counts"].decode("ascii")}
