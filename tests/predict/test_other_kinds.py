"""Systems that take no pictures: saved, loaded and asked as all others are, and refused where pictures are meant."""

import json
from dataclasses import replace

import pytest
import torch
from other_kinds import ALPHABET, CharacterInputs, UniformFrames, character_model, clip_model, table

import allsight
from allsight import hub
from allsight.data.pictures.dataset import Dataset
from allsight.errors import AnnotationError, ModelError, WeightsError
from allsight.hub import Model, Spec
from allsight.judge.calibrate import looks
from allsight.judge.evaluate import evaluate
from allsight.models.system import System
from allsight.predict import Predictor, stream
from allsight.predict.graphs import write_onnx
from allsight.scene import Clip, Vocabulary

assert table  # a fixture
pytestmark = pytest.mark.usefixtures("table")


def brightness(*levels: int) -> Clip:
    """Return a clip of plain frames."""
    frames = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 6)
    return Clip(frames, torch.arange(len(levels), dtype=torch.float64))


def test_a_reader_learns_and_goes_on_with_a_text_once_it_is_loaded(tmp_path) -> None:
    model = character_model()
    lines = torch.stack([model.inputs.prepare(("abc" * 5)[start:][:12])[0] for start in range(3)])
    optimizer = torch.optim.Adam(model.system.parameters(), lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        sum(model.system.loss(lines).values()).backward()
        optimizer.step()
    again = allsight.load(model.save(tmp_path / "reader", half=False))
    assert [again(text) for text in ("abcab", "bca", "ab")] == ["abcabc", "bcab", "abc"]
    with pytest.raises(AnnotationError, match="'abx': is no text"):
        again("abx")


def test_a_clip_goes_in_as_uniform_frames_and_comes_back_tagged(tmp_path) -> None:
    loaded = allsight.load(clip_model(3).save(tmp_path / "watcher", half=False))
    assert loaded.model.inputs == UniformFrames(3, Vocabulary(("darker", "brighter")))
    clip = brightness(0, 10, 20, 30, 40, 50, 250)
    ready, place = loaded.prepare(clip)
    seen = loaded.runtime(ready[None]).clips
    assert seen.shape == (1, 3, 3, 4, 6)
    assert seen[0, :, 0, 0, 0].tolist() == [0, 30, 250]
    assert place is clip
    for levels, expected in (((0, 9, 9, 200), "brighter"), ((200, 9, 255, 0), "darker")):
        answer = loaded(brightness(*levels))
        assert loaded.model.inputs.classes[int(answer.tags.argmax())] == expected
        assert answer.times.tolist() == [0, 1, 2, 3]


def test_the_file_says_what_prepares_the_inputs(tmp_path) -> None:
    config = json.loads((clip_model(3).save(tmp_path / "watcher") / "config.json").read_text())
    names = {"builder": "vocabulary", "arguments": {"names": ["darker", "brighter"], "ids": [0, 1]}}
    assert config["inputs"] == {"builder": "uniform_frames", "arguments": {"frames": 3, "classes": names}}
    assert config["display"] is None


def test_inputs_that_no_table_names_are_refused_before_anything_is_written(tmp_path) -> None:
    model = character_model()
    with pytest.raises(TypeError, match="Foreign is no dataclass that the table"):
        replace(model, inputs=type("Foreign", (), {})()).save(tmp_path / "foreign")
    assert not (tmp_path / "foreign").exists()


def test_inputs_that_are_none_are_refused(tmp_path) -> None:
    folder = character_model().save(tmp_path / "reader")
    config = json.loads((folder / "config.json").read_text())
    config["inputs"] = {"builder": "character_gru", "arguments": {"alphabet": "ab"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"config.json: does not .*no inputs are called 'character_gru'; there are"):
        hub.load(folder)


def test_a_threshold_where_nothing_is_displayed_is_refused() -> None:
    with pytest.raises(ModelError, match="reader: has nothing that a threshold could hide"):
        Predictor(character_model(), threshold=0.5)


def test_what_is_for_pictures_says_so_in_one_line(tmp_path) -> None:
    predictor, nothing = Predictor(character_model()), Dataset((), name="nothing")
    calls = (
        lambda: stream(predictor, [tmp_path / "a.png"]),
        lambda: evaluate(predictor, nothing),
        lambda: looks(predictor, nothing, "true"),
        lambda: write_onnx(predictor.model, tmp_path / "graph.onnx"),
        lambda: predictor.prepare("abc", original=(3, 4)),
    )
    for call in calls:
        with pytest.raises(ModelError, match=r"^reader: takes characters, not pictures; choose another model$"):
            call()


class Silent(System):
    """Learns, and answers nothing."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs

    def loss(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {}


def test_a_system_that_only_learns_cannot_be_asked() -> None:
    with pytest.raises(ModelError, match="silent: learns, but answers nothing"):
        Predictor(Model(Silent(), Spec("silent"), CharacterInputs(ALPHABET), name="silent"))
