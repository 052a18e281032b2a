"""NanoDet-Plus as a graph: other runtimes give the same raw answers and the same objects at every size."""

from pathlib import Path

import pytest
import torch
from same_answers import each_runtime, smooth

from allsight.data.inputs import PictureInputs
from allsight.hub import Model, Spec
from allsight.predict import Predictor
from allsight.predict.graphs import outputs_like, write_onnx

SIZES = [(64, 96), (96, 96), (128, 64)]


@pytest.fixture(scope="module")
def model() -> Model:
    """A small one with batch norms and random weights that sees something nearly everywhere."""
    trunk = Spec("shufflenet_v2", {"width": 0.5, "slope": 0.1})
    classes = Spec("vocabulary", {"names": ["a", "b"]})
    spec = Spec("nanodet_plus", {"trunk": trunk, "classes": classes, "channels": 32, "guidance": False})
    torch.manual_seed(0)
    system = spec.build().eval()
    for layer in system.heads["objects"].subnets.last:
        torch.nn.init.normal_(layer.weight, std=3.0)
        torch.nn.init.zeros_(layer.bias)
    return Model(system, spec, PictureInputs(96), name="tiny")


@pytest.fixture(scope="module")
def graph(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For pictures of any size."""
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("graphs") / "nanodet.onnx"
    write_onnx(model, path)
    return path


@each_runtime
def test_same_answers_in_every_runtime(package: str, kind: type, model: Model, graph: Path) -> None:
    pytest.importorskip(package)
    runtime = kind(graph, outputs_like(model))
    ours, theirs = Predictor(model), Predictor(model, runtime=runtime)
    for size in SIZES:
        picture = smooth(size)
        with torch.no_grad():
            expected, found = model.system(picture[None]).heads["objects"], runtime(picture[None]).heads["objects"]
        for name in ("logits", "sides", "places"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-3, rtol=1e-3)
        (one,), (two,) = ours.scenes([picture]), theirs.scenes([picture])
        assert len(one) == len(two) > 3
        torch.testing.assert_close(two.scores, one.scores, atol=1e-3, rtol=0)
