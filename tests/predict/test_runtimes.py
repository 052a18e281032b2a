import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import tiny_classifier, tiny_detector
from torch import Tensor, nn

from allsight.data.inputs import PictureInputs
from allsight.data.pictures.reading import read_picture
from allsight.errors import ModelError, OutputError
from allsight.hub import Model, Spec
from allsight.knowing.familiarity import Familiarity, picture_vector
from allsight.knowing.knowledge import Knowledge
from allsight.machine import packages
from allsight.metrics.calibration import Platt
from allsight.ops.nms import batched_nms
from allsight.ops.roi_align import roi_align
from allsight.predict import Predictor, graphs, runtimes
from allsight.predict.graphs import leaves, outputs_like, rebuild, write_onnx
from allsight.predict.runtimes import OnnxRuntime, OpenVinoRuntime, Runtime, TorchRuntime, open_runtime

SIZES = [(32, 32), (32, 64), (64, 32), (96, 64), (128, 160), (288, 384)]


@pytest.fixture(scope="module")
def detector() -> Model:
    return tiny_detector()


@pytest.fixture(scope="module")
def graph(detector: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graphs") / "tiny.onnx"
    write_onnx(detector, path)
    return path


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest, detector: Model, graph: Path) -> Runtime:
    pytest.importorskip(request.param)
    kind = OnnxRuntime if request.param == "onnxruntime" else OpenVinoRuntime
    return kind(graph, outputs_like(detector))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "graphs"


def noise(*size: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def same_boxes(model: Model, runtime: Runtime, picture: Tensor) -> None:
    ours, theirs = (Predictor(model, runtime=each) for each in (TorchRuntime(model.system), runtime))
    expected, found = ours.scenes([picture])[0], theirs.scenes([picture])[0]
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=0)
    # Boxes whose scores are equal to the last digit but one may change places.
    order = [scene.boxes.double().mul(1000).round().sum(1).argsort() for scene in (found, expected)]
    torch.testing.assert_close(found.boxes[order[0]], expected.boxes[order[1]], atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_one_graph_gives_what_torch_gives_at_every_size(size, detector, runtime):
    pictures = noise(*size)
    expected, found = leaves(detector.system.lean(TorchRuntime(detector.system)(pictures))), leaves(runtime(pictures))
    assert list(found) == list(expected) == [f"heads.objects.{name}" for name in ("logits", "deltas", "anchors")]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", ["cat", "coffee", "rocket"])
def test_same_boxes_on_photographs(name, detector, runtime):
    photographs = pytest.importorskip("skimage.data")
    same_boxes(detector, runtime, torch.from_numpy(getattr(photographs, name)()).permute(2, 0, 1).contiguous())


def test_same_boxes_on_real_data(detector, runtime, shared_data):
    for path in sorted((shared_data / "bccd" / "JPEGImages").iterdir())[:3]:
        same_boxes(detector, runtime, read_picture(path))


def test_threads_do_not_disturb_each_other(detector, runtime):
    pictures = [noise(*SIZES[i % 3], seed=i) for i in range(24)]
    alone = [runtime(each).heads["objects"].logits for each in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(runtime, pictures))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(other.heads["objects"].logits, one, atol=1e-5, rtol=0)


def test_the_first_sizes_have_programs_of_their_own(detector, graph):
    """In many threads at once each size gets one, and all answer as the program for any size does."""
    pytest.importorskip("openvino")
    like = outputs_like(detector)
    general, own = OpenVinoRuntime(graph, like), OpenVinoRuntime(graph, like, sizes=2)
    pictures = [noise(*SIZES[i % 4], seed=i) for i in range(24)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(own, pictures))
    assert len(own.own) == 2
    for picture, one in zip(pictures, found, strict=True):
        torch.testing.assert_close(one.heads["objects"].logits, general(picture).heads["objects"].logits)


def test_bfloat16_is_near(detector, graph):
    pytest.importorskip("openvino")
    like = outputs_like(detector)
    exact, near = OpenVinoRuntime(graph, like), OpenVinoRuntime(graph, like, torch.bfloat16)
    a, b = (each(noise(64, 64)).heads["objects"].logits for each in (exact, near))
    assert (a - b).abs().mean() < 0.05 * a.std()


def test_a_classifier_of_one_size(tmp_path):
    pytest.importorskip("onnxruntime")
    model = tiny_classifier()
    write_onnx(model, tmp_path / "c.onnx", (64, 96))
    runtime = OnnxRuntime(tmp_path / "c.onnx", outputs_like(model))
    expected = TorchRuntime(model.system)(noise(64, 96)).heads["tags"]
    torch.testing.assert_close(runtime(noise(64, 96)).heads["tags"].logits, expected.logits, atol=1e-3, rtol=1e-4)


def test_two_stages_in_one_graph(tmp_path):
    parts = {
        "trunk": Spec("efficientnet_lite0", {"weights": False}),
        "classes": Spec("vocabulary", {"names": ["a", "b"]}),
    }
    spec = Spec("faster_rcnn_narrow", parts)
    torch.manual_seed(0)
    model = Model(spec.build().eval(), spec, PictureInputs(96))
    write_onnx(model, tmp_path / "two.onnx", (64, 96))
    like, pictures = outputs_like(model), noise(64, 96)
    expected = leaves(model.system.lean(TorchRuntime(model.system)(pictures)))
    for kind, package in ((OnnxRuntime, "onnxruntime"), (OpenVinoRuntime, "openvino")):
        pytest.importorskip(package)
        for name, value in leaves(kind(tmp_path / "two.onnx", like)(pictures)).items():
            torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-4)


def test_outputs_are_taken_apart_and_put_together(detector):
    outputs = detector.system(noise(64, 64))
    flat = leaves(outputs)
    assert "features.p3" in flat
    again = rebuild(outputs, iter(flat.values()))
    assert type(again) is type(outputs)
    assert list(leaves(again)) == list(flat)
    assert all(one is other for one, other in zip(leaves(again).values(), flat.values(), strict=True))
    assert detector.system.lean(outputs).features == {}
    assert rebuild([(1, None), torch.zeros(1)], iter([torch.ones(1)])) == [(1, None), torch.ones(1)]


class Suppress(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        return batched_nms(boxes, scores, labels, 0.5)


def crowd(count: int, seed: int, *, steps: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes in five classes, close together and far from the origin; scores in so many steps have equals."""
    numbers = torch.Generator().manual_seed(seed)
    corner, side = torch.rand(count, 2, generator=numbers) * 100 + 3000, torch.rand(count, 2, generator=numbers) * 60
    scores = torch.rand(count, generator=numbers) - 0.5
    scores = (scores * steps).round() / steps if steps else scores
    return torch.cat([corner, corner + side + 1], 1), scores, torch.randint(0, 5, (count,), generator=numbers)


def exported(module: nn.Module, inputs: tuple[Tensor, ...], shapes: dict, path: Path) -> Path:
    from allsight.predict.onnx_ops import TRANSLATIONS

    program = torch.export.export(module, inputs, dynamic_shapes=shapes)
    torch.onnx.export(program, dynamo=True, verbose=False, custom_translation_table=TRANSLATIONS).save(path)
    return path


def onnxruntime_of(path: Path):
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    names = [each.name for each in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))


def openvino_of(path: Path):
    compiled = pytest.importorskip("openvino").Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda *inputs: list(compiled([x.numpy() for x in inputs]).values())


@pytest.fixture(scope="module")
def suppression(tmp_path_factory) -> Path:
    pytest.importorskip("onnxscript")
    many = {0: torch.export.Dim("many")}
    path = tmp_path_factory.mktemp("ops") / "nms.onnx"
    return exported(Suppress(), crowd(9, 0), {"boxes": many, "scores": many, "labels": many}, path)


@pytest.mark.parametrize("count", [0, 1, 2, 60, 700])
def test_suppression_keeps_the_same_boxes_in_the_same_order(count, suppression):
    for seed, steps in enumerate((0, 0, 20)):
        inputs = crowd(count, seed, steps=steps)
        expected = Suppress()(*inputs).numpy()
        (found,) = onnxruntime_of(suppression)(*inputs)
        np.testing.assert_array_equal(found, expected)
        (found,) = openvino_of(suppression)(*inputs)
        assert set(found) == set(expected)
        np.testing.assert_array_equal(inputs[1].numpy()[found], inputs[1].numpy()[expected])  # equals in any order


class Align(nn.Module):
    def forward(self, maps: Tensor, boxes: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        fine = roi_align(maps, boxes, index, scale=0.125)
        return fine, roi_align(maps, boxes, index, scale=0.125, aligned=False, output=(5, 3), sampling=0)


def test_region_alignment_translates(tmp_path):
    pytest.importorskip("onnxscript")
    boxes = crowd(40, 0)[0] - 3000
    inputs = torch.randn(2, 4, 12, 14, generator=torch.Generator().manual_seed(0)), boxes, torch.arange(40) % 2
    many = {0: torch.export.Dim("many")}
    path = exported(Align(), inputs, {"maps": None, "boxes": many, "index": many}, tmp_path / "align.onnx")
    for run in (onnxruntime_of(path), openvino_of(path)):
        for found, expected in zip(run(*inputs), Align()(*inputs), strict=True):
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, graph: Path) -> list[str]:
    """Models that a graph was made for; making one costs nothing here."""
    found: list[str] = []

    def fake(model: Model, path: Path, features: object = ()) -> None:
        found.append(model.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(graph.read_bytes())

    monkeypatch.setattr(graphs, "write_onnx", fake)
    return found


def test_a_graph_is_made_once_for_a_model(cache, detector, made):
    said: list[str] = []
    path = graphs.cached_or_made(detector, said.append)
    assert path.parent == cache
    assert graphs.cached_or_made(detector, said.append) == graphs.cached(detector) == path
    assert made == ["tiny"]
    assert len(said) == 1
    other = tiny_detector(seed=1)
    assert graphs.cached(other) is None
    assert graphs.cached_or_made(other, said.append) != path


def test_a_damaged_graph_is_made_again_and_said_once(cache, detector, made):
    path = graphs.cached_or_made(detector, lambda text: None)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said: list[str] = []
    for _ in range(2):
        assert graphs.cached_or_made(detector, said.append).read_bytes() == whole
    assert sum("is damaged" in text for text in said) == 1
    assert made == ["tiny"] * 2


def test_where_the_cache_cannot_be_written_the_graph_is_not_kept(detector, made, tmp_path, monkeypatch):
    in_place_of_the_folder = tmp_path / "file"
    in_place_of_the_folder.write_text("mine")
    for cache in (in_place_of_the_folder, in_place_of_the_folder / "below", Path("/proc/allsight")):
        monkeypatch.setenv("ALLSIGHT_CACHE", str(cache))
        said: list[str] = []
        path = graphs.cached_or_made(detector, said.append)
        assert path.is_file()
        assert cache not in path.parents
        assert graphs.cached(detector) is None
        unwritable, preparing = said
        assert unwritable.startswith(f"{cache}: cannot be written (")
        assert "ALLSIGHT_CACHE" in unwritable
        assert preparing.startswith(f"preparing {detector.name} for fast runtimes;")
    assert in_place_of_the_folder.read_text() == "mine"
    assert len(made) == 3


def test_auto_takes_the_fastest_that_is_there(cache, detector, made, monkeypatch):
    pytest.importorskip("openvino")
    assert isinstance(open_runtime("auto", detector, pictures=3), TorchRuntime)
    assert made == []
    assert isinstance(open_runtime("auto", detector, pictures=10_000), OnnxRuntime)
    assert isinstance(open_runtime("auto", detector, pictures=3), OnnxRuntime)  # the graph is there now
    assert isinstance(open_runtime("auto", detector, precision="bfloat16", pictures=3), OpenVinoRuntime)
    without(monkeypatch, "onnxruntime")
    assert isinstance(open_runtime("auto", detector, pictures=3), OpenVinoRuntime)
    without(monkeypatch, "onnx", "onnxruntime", "openvino")
    assert isinstance(open_runtime("auto", detector), TorchRuntime)


def test_auto_goes_on_where_something_is_broken(cache, detector, made, monkeypatch):
    said: list[str] = []
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # its import raises
    monkeypatch.setattr(runtimes, "installed", lambda name: True)
    assert isinstance(open_runtime("auto", detector, say=said.append), OpenVinoRuntime)
    assert any("onnxruntime: cannot run tiny" in text for text in said)

    def fail(*_: object) -> Path:
        raise OutputError("no space")

    monkeypatch.setattr(runtimes, "cached_or_made", fail)
    assert isinstance(open_runtime("auto", detector, say=said.append), TorchRuntime)
    assert said[-1] == "no space; going on in torch"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runtime_that_is_not_there(name, cache, detector, monkeypatch):
    without(monkeypatch, name)
    with pytest.raises(ModelError, match=r'pip install .*\[fast\]"'):
        open_runtime(name, detector)


def test_every_runtime_abstains_alike(detector, tmp_path):
    frame = detector.inputs.frame((48, 64))
    with torch.inference_mode():
        learned = [detector.system(noise(64, 64, seed=i)).features for i in range(20)]
        expected = detector.system(noise(64, 64))
    pictures = Familiarity.fit(torch.stack([picture_vector(each["c5"], frame) for each in learned]), "c5")
    objects = Familiarity.fit(torch.cat([each["c4"][0].flatten(1).T for each in learned]), "c4")
    knowledge = Knowledge(pictures, objects, Platt(2.0, -0.5))
    model = replace(detector, knowledge=knowledge)
    write_onnx(model, tmp_path / "f.onnx", (64, 64), features=knowledge.features)
    by_torch = Predictor(model, abstain=True)(noise(64, 64)[0]).trust
    for kind, package in ((OnnxRuntime, "onnxruntime"), (OpenVinoRuntime, "openvino")):
        pytest.importorskip(package)
        runtime = kind(tmp_path / "f.onnx", outputs_like(model, knowledge.features))
        found = runtime(noise(64, 64))
        assert list(found.features) == ["c5", "c4"]
        for name, value in found.features.items():
            torch.testing.assert_close(value, expected.features[name], atol=1e-3, rtol=1e-4)
        trust = Predictor(model, runtime=runtime, abstain=True)(noise(64, 64)[0]).trust
        assert trust.distance == pytest.approx(by_torch.distance, rel=1e-3)
        one, other = (each.distances.sort().values for each in (trust, by_torch))
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_a_graph_with_features_is_another_one(cache, detector, made):
    plain = graphs.cached_or_made(detector, lambda text: None)
    assert graphs.cached(detector, ("c5",)) is None
    assert graphs.cached_or_made(detector, lambda text: None, ("c5",)) != plain
    assert graphs.cached(detector) == plain


def test_what_cannot_be_traced_is_said_in_one_line(detector, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")

    class Stubborn(type(detector.system)):
        def forward(self, pictures: Tensor, also: object = ()):
            assert float(pictures.float().mean()) >= 0  # a tracer does not know the value
            return super().forward(pictures)

    monkeypatch.setattr(detector.system, "__class__", Stubborn)
    with pytest.raises(ModelError, match="tiny: cannot be exported") as caught:
        write_onnx(detector, tmp_path / "a.onnx", (64, 64))
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let packages seem not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name in names else find(name))
