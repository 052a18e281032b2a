"""What the tests of exported systems with outlines share: pictures, runtimes, and what "the same objects" means."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from allsight.hub import Display, Model
from allsight.metrics.instances import mask_overlaps
from allsight.predict import Predictor
from allsight.predict.graphs import write_onnx
from allsight.predict.predictor import narrow
from allsight.predict.runtimes import OnnxRuntime, OpenVinoRuntime, Runtime
from allsight.scene import Scene

SIZES = [(64, 96), (96, 96), (128, 64)]
each_runtime = pytest.mark.parametrize(
    ("package", "kind"), [("onnxruntime", OnnxRuntime), ("openvino", OpenVinoRuntime)]
)


def smooth(size: tuple[int, int]) -> Tensor:
    """Return a (3, height, width) picture of smooth blobs, so that no score hangs on rounding."""
    noise = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(sum(size)))
    return (torch.nn.functional.interpolate(noise, size, mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)[0]


def scenes_of_both(model: Model, runtime: Runtime) -> list[tuple[Scene, Scene]]:
    """Return what torch and what a runtime sees, in pictures of all sizes."""
    ours, theirs = Predictor(model), Predictor(model, runtime=runtime)
    pictures = [[smooth(size)] for size in SIZES]
    return [(ours.scenes(each)[0], theirs.scenes(each)[0]) for each in pictures]


def assert_same_objects(found: Scene, expected: Scene) -> None:
    """Fail unless two scenes show several objects, and the same ones with the same outlines."""
    assert len(found) == len(expected) > 3
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
    # Boxes whose scores are equal to the last digit but one may change places.
    nearest = torch.cdist(expected.boxes, found.boxes).argmin(1)
    torch.testing.assert_close(found.boxes[nearest], expected.boxes, atol=1e-2, rtol=1e-4)
    same = mask_overlaps(found.masks[nearest], expected.masks).diagonal()
    solid = expected.masks.area().numpy() > 0
    assert (same[solid] > 0.98).all()
    assert solid.any()


def narrowed_with_graph(model: Model, name: str, folder: Path) -> tuple[Model, Path]:
    """Return a model that shows objects of one class, about three, and computes nothing else, and its graph."""
    pytest.importorskip("onnxscript")
    (seen,) = Predictor(model).scenes([smooth((96, 96))])
    scores = [score for score, other in zip(seen.scores.tolist(), seen.names(), strict=True) if other == name]
    one = replace(model, system=deepcopy(model.system), display=Display({name: (scores[2] + scores[3]) / 2, "": 1.1}))
    narrow(one)
    write_onnx(one, folder / "narrowed.onnx")
    return one, folder / "narrowed.onnx"


def assert_shows_the_same(model: Model, narrowed: Model, runtime: Runtime) -> None:
    """Fail unless a narrowed model shows what the whole one does, with as many masks as there are wanted objects."""
    whole, fast = Predictor(replace(model, display=narrowed.display)), Predictor(narrowed, runtime=runtime)
    masks = set()
    for size in SIZES:
        picture, frame = fast.prepare(smooth(size))
        masks.add(fast.runtime(picture[None]).heads["objects"].masks.shape[1])
        expected, found = (each.shown(each.answer(picture, frame)) for each in (whole, fast))
        assert found.names() == expected.names()
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-2, rtol=1e-4)
        strong = torch.ones(len(expected), dtype=torch.bool) if expected.weak is None else ~expected.weak
        assert (mask_overlaps(found.masks[strong], expected.masks[strong]).diagonal() > 0.98).all()
    assert len(masks) > 1
