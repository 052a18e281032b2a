"""Saved models: what is written comes back, and what is broken is said in one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from allsight import hub
from allsight.data.inputs import PictureInputs
from allsight.errors import AllsightError, ModelError, WeightsError
from allsight.hub import Display, Model, Spec
from allsight.knowing.knowledge import Knowledge
from allsight.metrics.calibration import Platt
from allsight.predict import Predictor
from allsight.scene import Vocabulary
from allsight.systems import INPUTS, PARTS, SYSTEMS, TRUNKS, builder

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
    for name in (*SYSTEMS, *TRUNKS, *INPUTS, *PARTS):
        assert callable(builder(name))


def test_unknown_builders_are_named():
    with pytest.raises(ModelError, match="no system or trunk is called 'retina'"):
        builder("retina")


def test_specs_survive_json():
    assert Spec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_inputs_and_vocabularies_tell_how_they_are_built():
    for part in (PictureInputs(96, multiple=16, fill=(1, 2, 3)), Vocabulary(("cat", "dog"), (7, 9))):
        assert Spec.from_json(json.loads(json.dumps(Spec.of(part).to_json()))).build() == part


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


SHIPPED = ("cells", "everyday", "nanodet", "nuclei", "street")
FIELDS = ("boxes", "labels", "scores", "weak", "tags", "regions", "region_scores", "panoptic")


def assert_same(found, expected):
    for name in FIELDS:
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        assert one is None or torch.equal(one, other), name
    assert (found.segments, found.masks is None) == (expected.segments, expected.masks is None)
    assert found.masks is None or torch.equal(found.masks.bits, expected.masks.bits)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_of_format_1_answers_the_same_as_format_2(name, tmp_path):
    first = json.loads((Path(hub.__file__).parent / "weights" / name / "config.json").read_text())
    assert first["format"] == 1
    shipped = hub.load(name)
    assert shipped.inputs == PictureInputs(**first["preprocessing"])
    assert shipped.display == Display(first["thresholds"], first.get("region_thresholds", {}))
    folder = shipped.save(tmp_path / name, half=False)
    second = json.loads((folder / "config.json").read_text())
    assert second["format"] == hub.FORMAT == 2
    assert second["spec"] == first["spec"] and second["card"] == first["card"]
    assert second["inputs"] == {"builder": "pictures", "arguments": first["preprocessing"]}
    again = hub.load(folder)
    assert (again.display, again.inputs, again.left_out) == (shipped.display, shipped.inputs, shipped.left_out)
    picture = torch.nn.functional.interpolate(PICTURES.float(), (96, 128), mode="bicubic").clamp(0, 255).byte()[0]
    one, two = (Predictor(model, abstain=model.knowledge is not None) for model in (shipped, again))
    assert_same(two(picture), one(picture))
    assert_same(two.scenes([picture])[0], one.scenes([picture])[0])


def test_all_that_are_shipped_are_tested():
    assert {path.parent.name for path in (Path(hub.__file__).parent / "weights").glob("*/config.json")} == set(SHIPPED)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 3}, "of format 1 or 2"),
        ({"spec": None}, "'spec' is null"),
        ({"spec": {"arguments": {}}}, "names no builder"),
        ({"spec": {"builder": "retinanet_narrow"}}, "retinanet_narrow has no arguments"),
        ({"spec": {"builder": "efficientnet_lite0", "arguments": {"weights": False}}}, "builds no system"),
        ({"inputs": ["pictures"]}, "'inputs' is"),
        ({"inputs": {"builder": "vocabulary", "arguments": {"names": []}}}, "no inputs are called 'vocabulary'"),
        ({"inputs": {"builder": "pictures", "arguments": {"longest": "long"}}}, "longest long is not a number"),
        ({"inputs": {"builder": "pictures", "arguments": {"longest": 64, "fill": [300, 0, 0]}}}, "is not a colour"),
        ({"inputs": {"builder": "pictures", "arguments": {"width": 3}}}, "unexpected keyword argument 'width'"),
        ({"display": 0.5}, "'display' is 0.5"),
        ({"display": {"thresholds": {"cat": "high"}}}, "'high' is no threshold for 'cat'"),
        ({"display": {"colour": {}}}, "unexpected keyword argument 'colour'"),
        ({"left_out": "trunk."}, "'left_out' is"),
        ({"left_out": [3]}, "'left_out' has what is no prefix"),
        ({"card": None}, "'card' is null"),
    ],
)
def test_a_config_that_is_wrong_says_where(saved, change, said):
    folder = saved[1]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(WeightsError) as caught:
        hub.load(folder)
    assert said in str(caught.value)
    assert str(folder / "config.json") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", ["spec", "inputs", "display", "left_out", "card"])
def test_a_config_that_lacks_something_says_what(saved, entry):
    folder = saved[1]
    config = json.loads((folder / "config.json").read_text())
    del config[entry]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=f"config.json: does not describe a model \\('{entry}' is missing"):
        hub.load(folder)


def test_a_model_without_anything_to_display_comes_back_without(saved, tmp_path):
    folder = replace(saved[0], display=None).save(tmp_path / "bare")
    assert hub.load(folder).display is None


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
