"""Training on cached features: the same losses as live, computed once, never stale, rebuilt where damaged."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_squares import CLASSES, SMALL, squares
from PIL import Image

from allsight import hub
from allsight.backbones.pictures.contracting import vgg_narrow
from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.freezing import dilate, freeze
from allsight.backbones.pictures.trunk import Trunk
from allsight.cli import main as cli
from allsight.data.feature_cache import FeatureCache
from allsight.data.features import FeatureSet, collate_features
from allsight.data.formats.catalogue import write_datasets
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Example
from allsight.data.pictures.loading import Batch, EvaluationSet
from allsight.data.views import AugmentedLooks, PlainLook
from allsight.errors import TrainingError
from allsight.models.detection.retinanet import retinanet_narrow
from allsight.models.frozen import AfterTrunk, eyes_of
from allsight.models.whole.everyday import everyday
from allsight.predict import Predictor
from allsight.recipes.classification.classifier import Classifier
from allsight.recipes.common.supervision import evaluation_of
from allsight.recipes.detection.measure import object_scores
from allsight.recipes.detection.objects import read
from allsight.recipes.detection.retinanet import RetinaNet
from allsight.recipes.run import train
from allsight.recipes.whole.everyday import Everyday
from allsight.scene import Frame, Scene
from allsight.weights.files import read_state


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("squares") / "data"
    write_datasets({"train": squares(6), "val": squares(3, seed=1)}, root, "voc")
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of features, empty."""
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets the number of pictures of every call of a trunk with stages."""
    calls: list[int] = []
    forward = Trunk.forward

    def counted(trunk, pictures, names):
        calls.append(len(pictures))
        return forward(trunk, pictures, names)

    monkeypatch.setattr(Trunk, "forward", counted)
    return calls


def png(example: Example, path: Path) -> None:
    Image.fromarray(example.pixels.permute(1, 2, 0).numpy()).save(path)


def silent(line: str) -> None:
    pass


def looks(count: int) -> AugmentedLooks:
    return AugmentedLooks(Augmentation((64, 64)), count)


@pytest.fixture(scope="module")
def system():
    torch.manual_seed(0)
    system = retinanet_narrow(trunk=efficientnet_lite0(), classes=CLASSES, channels=32, depth=1)
    freeze(system.trunk, "c5")
    return system.train()


def features_of(system, dataset, folder, count=4, **options) -> FeatureSet:
    part = AfterTrunk(system)
    made = FeatureSet(
        dataset, looks(count), eyes_of(system.trunk, part.wanted, "float32"), FeatureCache(folder, 2**30), **options
    )
    list(made.fill(made.missing()))
    return made


@pytest.mark.parametrize("build", ["retinanet", "everyday"])
def test_cached_losses_are_those_of_the_frozen_trunk_on_the_same_views(build, system, tmp_path):
    if build == "everyday":
        system = everyday(classes=CLASSES, channels=32, depth=1).train()
        freeze(system.trunk, "head")
    dataset = squares(5, unknown=1)
    features = features_of(system, dataset, tmp_path)
    learner = AfterTrunk(system, without=["tags"]).train()
    for epoch in range(4):
        batch = collate_features([features[epoch, index] for index in range(5)])
        planned = [looks(4)(e.scene, int(features._contents[i][:15], 16)) for i, e in enumerate(dataset)]
        chosen = [each[(epoch + i) % 4] for i, each in enumerate(planned)]
        pictures = torch.stack([look.picture(e.pixels) for look, e in zip(chosen, dataset, strict=True)])
        scenes = [look.scene(e.scene) for look, e in zip(chosen, dataset, strict=True)]
        live = system.loss(Batch(pictures, [Frame.whole((64, 64))] * 5, scenes, [""] * 5))
        cached = learner.loss(batch)
        for name, value in cached.items():
            expected = live[name] if name in live else live[f"objects/{name}"]
            torch.testing.assert_close(value, expected, rtol=2e-3, atol=2e-3)
        assert batch.scenes[-1].boxes is None


def test_gradients_reach_neck_and_heads_and_nothing_else(system, tmp_path):
    features = features_of(system, squares(2), tmp_path)
    learner = AfterTrunk(system).train()
    sum(learner.loss(collate_features([features[0, 0], features[0, 1]])).values()).backward()
    assert {name.split(".")[0] for name, p in learner.named_parameters()} == {"neck", "heads"}
    assert all(p.grad is None for p in system.trunk.parameters())
    assert system.neck.lateral[0].weight.grad is not None
    system.zero_grad()


def test_views_are_fixed_and_begin_with_the_whole_picture():
    dataset = squares(2)
    first, again = (looks(5)(dataset[0].scene, content=7) for _ in range(2))
    assert list(map(str, first)) == list(map(str, again))
    assert len(set(map(str, first))) == 5
    assert str(looks(5)(dataset[0].scene, content=8)[3]) != str(first[3])
    whole = first[0].scene(dataset[0].scene)
    torch.testing.assert_close(whole.boxes[:, 2:] - whole.boxes[:, :2], torch.tensor([[20.0, 20.0]]))
    assert first[0].colour is None


@pytest.mark.parametrize("size", [(48, 64), (50, 31), (333, 500)])
def test_a_plain_look_is_the_letterbox_that_prediction_uses(size, tmp_path):
    pixels = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    boxes, labels = torch.tensor([[3.0, 4.0, 20.0, 30.0]]), torch.tensor([1])
    dataset = squares(1)
    example = replace(dataset[0], annotation=Scene(size, boxes=boxes, labels=labels), pixels=pixels)
    (look,) = PlainLook(lambda size: Frame.fit(size, 96), (1, 2, 3))(example.scene, content=0)
    sample = EvaluationSet(replace(dataset, examples=(example,)), 96, fill=(1, 2, 3))[0]
    assert torch.equal(look.picture(pixels), sample.picture)
    torch.testing.assert_close(look.scene(example.scene).boxes, sample.scene.boxes)
    assert look.frame == sample.frame


def test_a_second_run_computes_nothing(data, cache, tmp_path, seen):
    said: list[str] = []
    train(RetinaNet(data=(data,), steps=4, **SMALL), tmp_path / "one", say=said.append)
    assert len([n for n in seen if n]) >= 6 * 3 + 3
    assert sum("features of 6 of 6 pictures computed" in line for line in said) == 1
    assert sum("features of 3 of 3 pictures computed" in line for line in said) == 1
    del seen[:], said[:]
    train(RetinaNet(data=(data,), steps=4, seed=1, **SMALL), tmp_path / "two", say=said.append)
    assert not seen
    assert not any("features" in line for line in said)


def test_cached_scores_are_those_of_the_saved_model(data, cache, tmp_path):
    """On the pictures themselves, decoded and seen by the trunk once more, the scores are the same."""
    scores = train(RetinaNet(data=(data,), steps=40, **SMALL), tmp_path / "run", say=silent)
    model = hub.load(tmp_path / "run")
    _, val, _ = read(RetinaNet(data=(data,)))
    again = object_scores(evaluation_of(model, model.system, val))
    assert scores["AP50"] > 0.1
    assert again == pytest.approx(scores, abs=0.02)


@pytest.mark.parametrize("changed", ["weights", "picture", "size", "views", "names"])
def test_what_is_stale_is_computed_anew(changed, system, tmp_path):
    dataset, cache = squares(2), FeatureCache(tmp_path, 2**30)
    part = AfterTrunk(system)

    def waiting(dataset=dataset, trunk=system.trunk, side=64, count=3, names=part.wanted):
        views = AugmentedLooks(Augmentation((side, side)), count)
        made = FeatureSet(dataset, views, eyes_of(trunk, names, "float32"), cache)
        missing = made.missing()
        list(made.fill(missing))
        return missing

    assert waiting() == [0, 1]
    assert waiting() == []
    if changed == "weights":
        other = efficientnet_lite0().cut("c5").eval()
        with torch.no_grad():
            other.get_submodule("_blocks.3._bn1").bias[0] += 1e-3
        assert waiting(trunk=other) == [0, 1]
    elif changed == "picture":
        pixels = dataset[1].pixels.clone()
        pixels[0, 0, 0] ^= 1
        altered = replace(dataset, examples=(dataset[0], replace(dataset[1], pixels=pixels)))
        assert waiting(dataset=altered) == [1]
        assert waiting(dataset=altered.subset([1, 0])) == []  # the order has no say
    elif changed == "size":
        assert waiting(side=96) == [0, 1]
    elif changed == "views":
        assert waiting(count=4) == [0, 1]
    else:
        assert waiting(names=("c5",)) == [0, 1]
    assert waiting() == []


@pytest.mark.parametrize("harm", ["flipped bit", "truncated", "empty", "not safetensors"])
def test_a_damaged_file_is_made_anew_and_that_is_said_once(harm, data, cache, tmp_path, seen):
    train(RetinaNet(data=(data,), steps=4, **SMALL), tmp_path / "one", say=silent)
    victim = sorted(cache.glob("*/*.safetensors"))[3]
    good = victim.read_bytes()
    bad = {
        "flipped bit": good[:-9] + bytes([good[-9] ^ 4]) + good[-8:],
        "truncated": good[: len(good) // 2],
        "empty": b"",
        "not safetensors": b"hello, world",
    }
    victim.write_bytes(bad[harm])
    del seen[:]
    said: list[str] = []
    train(RetinaNet(data=(data,), steps=4, **SMALL), tmp_path / "two", say=said.append)
    assert sum("damaged files of features, made anew: 1" in line for line in said) == 1
    assert len([n for n in seen if n]) - 1 in (1, 3)  # one shows how the trunk is built
    assert victim.read_bytes() == good
    one, two = (read_state(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_cache_is_bounded(system, tmp_path):
    cache, eyes = FeatureCache(tmp_path, 2**30), eyes_of(system.trunk, AfterTrunk(system).wanted, "float32")

    def fill(dataset, limit):
        made = FeatureSet(dataset, looks(2), eyes, FeatureCache(tmp_path, limit))
        list(made.fill(made.missing()))
        return made

    with pytest.raises(TrainingError, match=r"the features of this training need .*--cache-gib"):
        fill(squares(3), 1000)
    first = fill(squares(3), 2**30)
    each = first.bytes // 3
    for age, key in enumerate(first._keys):
        os.utime(cache.path(key), (age, age))
    second = fill(squares(2, seed=5), each * 4)
    assert [cache.intact(key) for key in first._keys] == [None, True, True]
    assert [cache.intact(key) for key in second._keys] == [True, True]
    with pytest.raises(TrainingError, match="need"):  # what is in use is not removed
        second.cache.make_room(each * 3)
    assert [cache.intact(key) for key in second._keys] == [True, True]


def test_everyday_and_classifier_learn_from_features_too(data, cache, tmp_path, seen):
    train(Everyday(data=(data,), steps=4, **SMALL), tmp_path / "everyday", say=silent)
    stored = read_state(tmp_path / "everyday" / "model" / "model.safetensors")
    assert any(name.startswith("heads.objects.") for name in stored)
    folders = tmp_path / "folders"
    for i, example in enumerate(squares(16)):
        (folders / CLASSES[i % 2]).mkdir(parents=True, exist_ok=True)
        png(example, folders / CLASSES[i % 2] / f"{i}.png")
    recipe = Classifier(data=folders, longest=64, frozen=True, steps=30, batch_size=4, views=2, precision="float32")
    assert train(recipe, tmp_path / "classifier", say=silent)["top1"] == 1.0
    assert not (tmp_path / "classifier" / "fine_tuned").exists()
    model = hub.load(tmp_path / "classifier")
    scene = Predictor(model)(folders / "light" / "1.png")
    assert model.system.heads["tags"].classes[int(scene.tags.argmax())] == "light"


def test_killed_and_resumed_is_as_never_stopped(data, cache, tmp_path, monkeypatch):
    """kill -9 in the middle, then --resume, with a part of the features gone: the same weights bit for bit."""
    words = ["train", "retinanet", str(data), "--frozen", "--longest", "64", "--epochs", "1", "--steps", "12"]
    words += ["--views", "3", "--frozen-batch", "2", "--precision", "float32", "--checkpoint-seconds", "0"]
    words += ["--out", str(tmp_path / "broken")]
    run = [sys.executable, "-m", "allsight", *words]
    broken = subprocess.Popen(run, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "broken" / "checkpoints" / "last.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline and broken.poll() is None:
        time.sleep(0.01)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    assert checkpoint.exists()
    assert not (tmp_path / "broken" / "model").exists()
    for file in sorted(cache.rglob("*.safetensors"))[:4]:
        file.unlink()  # as if it had been killed while the features were computed
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert cli.main([*words, "--resume"]) == 0
        monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "another cache"))
        assert cli.main([*words[:-1], str(tmp_path / "whole")]) == 0
    finally:
        torch.set_num_threads(threads)
    whole, again = (read_state(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_features_that_go_while_they_are_used_are_one_clear_line(system, tmp_path):
    features = features_of(system, squares(1), tmp_path)
    next(tmp_path.glob("*/*.safetensors")).unlink()
    with pytest.raises(TrainingError, match="have gone or changed; run the command again"):
        features[0, 0]


def test_a_dilated_trunk_has_the_weights_of_another_but_features_of_its_own() -> None:
    plain, fine = (vgg_narrow() for _ in range(2))
    fine.load_state_dict(plain.state_dict())
    dilate(fine, 8)
    own, others = ([eyes_of(trunk, (name,), "float32").name for name in ("c3", "p5")] for trunk in (plain, fine))
    assert own[0] == others[0]
    assert own[1] != others[1]
