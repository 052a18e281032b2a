"""Saved models: what is written comes back, and what is broken is said in one line."""

import json

import pytest
import torch

from allsight import hub
from allsight.data.inputs import PictureInputs
from allsight.errors import AllsightError, ModelError, WeightsError
from allsight.hub import Display, Model, Spec
from allsight.metrics.calibration import Platt
from allsight.models.knowledge import Knowledge
from allsight.systems import PARTS, SYSTEMS, TRUNKS, builder

SPEC = Spec(
    "retinanet_narrow",
    {
        "trunk": Spec("efficientnet_lite0", {"weights": False}),
        "classes": Spec("vocabulary", {"names": ["cat", "dog"]}),
        "channels": 32,
        "depth": 1,
    },
)
PICTURES = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = Model(
        SPEC.build().eval(), SPEC, PictureInputs(64), Display({"cat": 0.5}), card={"title": "Pets", "licence": "CC0"}
    )
    return model, model.save(tmp_path / "pets", half=False)


def logits(model):
    with torch.no_grad():
        return model.system(PICTURES).heads["objects"].logits


def test_every_name_in_the_table_is_a_function():
    for name in (*SYSTEMS, *TRUNKS, *PARTS):
        assert callable(builder(name))


def test_unknown_builders_are_named():
    with pytest.raises(ModelError, match="no system or trunk is called 'retina'"):
        builder("retina")


def test_specs_survive_json():
    assert Spec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_a_model_comes_back_as_it_was(saved):
    model, folder = saved
    again = hub.load(folder)
    torch.testing.assert_close(logits(again), logits(model), rtol=0, atol=0)
    assert (again.display, again.inputs, again.card) == (model.display, model.inputs, model.card)
    assert not again.system.training
    assert "# Pets" in (folder / "README.md").read_text()


def test_half_precision_halves_the_file_and_hardly_changes_the_answer(saved, tmp_path):
    model, folder = saved
    half = model.save(tmp_path / "half")
    ratio = (half / "model.safetensors").stat().st_size / (folder / "model.safetensors").stat().st_size
    assert ratio < 0.55
    torch.testing.assert_close(logits(hub.load(half)), logits(model), rtol=0, atol=0.1)


def test_what_a_package_carries_is_left_out_and_found_again(tmp_path):
    names = Spec("vocabulary", {"names": ["cat"]})
    spec = Spec("everyday", {"classes": names, "parts": ["tags", "objects"], "channels": 32, "depth": 1})
    model = Model(spec.build().eval(), spec, PictureInputs(64), left_out=("trunk.", "heads.tags."))
    folder = model.save(tmp_path / "small", half=False)
    assert (folder / "model.safetensors").stat().st_size < 1_000_000
    torch.testing.assert_close(logits(hub.load(folder)), logits(model), rtol=0, atol=0)


def test_loading_does_not_disturb_randomness(saved):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    hub.load(saved[1])
    assert torch.equal(torch.rand(4), expected)


def test_knowledge_travels_with_the_model_and_goes_with_it(saved, tmp_path):
    model, folder = saved
    weights = (folder / "model.safetensors").stat().st_mtime_ns
    assert hub.load(folder).knowledge is None
    model.knowledge, model.card["calibration"] = Knowledge(scores=Platt(2.0, -1.0), data="pets/val"), {"ECE": 0.1}
    model.describe(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights
    again = hub.load(folder)
    assert (again.knowledge.scores, again.knowledge.data) == (Platt(2.0, -1.0), "pets/val")
    assert again.card["calibration"] == {"ECE": 0.1}
    assert "- **calibration**: ECE 0.1" in (folder / "README.md").read_text()
    copied = hub.load(again.save(tmp_path / "copy"))
    assert copied.knowledge.scores == Platt(2.0, -1.0)
    model.knowledge = None
    assert hub.load(model.save(folder)).knowledge is None  # trained anew: what the old one knew does not hold


def test_damaged_knowledge_says_what_to_do(saved):
    folder = saved[1]
    (folder / "knowledge.safetensors").write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match=r"knowledge.safetensors: is damaged .* delete it"):
        hub.load(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "is not the configuration of a model"),
        (lambda f: (f / "config.json").write_text('{"format": 1}'), "does not describe a model"),
        (lambda f: (f / "config.json").unlink(), "cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 40), "corrupt safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "is empty"),
        (lambda f: (f / "model.safetensors").unlink(), "cannot be read"),
    ],
)
def test_damaged_models_are_refused_in_one_line(saved, damage, said):
    folder = saved[1]
    damage(folder)
    with pytest.raises(WeightsError) as caught:
        hub.load(folder)
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_architecture_are_refused(saved):
    folder = saved[1]
    config = json.loads((folder / "config.json").read_text())
    config["spec"]["arguments"]["channels"] = 48
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="another architecture"):
        hub.load(folder)


def test_unknown_arguments_and_builders_in_a_config_are_refused(saved):
    folder = saved[1]
    config = json.loads((folder / "config.json").read_text())
    for change in ({"builder": "os.system", "arguments": {}}, {"builder": "retinanet_narrow", "arguments": {"x": 1}}):
        (folder / "config.json").write_text(json.dumps({**config, "spec": change}))
        with pytest.raises(AllsightError):
            hub.load(folder)


def test_a_model_that_does_not_exist_is_said_so():
    with pytest.raises(WeightsError, match="no such file, folder or model"):
        hub.load("no-such-model")
