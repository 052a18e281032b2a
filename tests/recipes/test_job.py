"""A job of another kind than a training with a loss is run, described and saved in the same way."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest
import torch
from PIL import Image

from allsight import hub
from allsight.data.formats.catalogue import open_dataset
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.dataset import Dataset
from allsight.errors import ModelError, OutputError, TrainingError
from allsight.hub import Model
from allsight.predict import Predictor
from allsight.recipes.common.ranges import Within
from allsight.recipes.common.resamples import Resamples, Training
from allsight.recipes.common.settings import FewLabels, Recipe
from allsight.recipes.common.specs import system_specs, vocabulary_spec
from allsight.recipes.common.staged import Stage, StagedJob
from allsight.recipes.run import train
from allsight.training import FitConfig, Key, TrainingStep


@dataclass(frozen=True, kw_only=True)
class Means(Recipe):
    """A classifier by the nearest mean of each class, in closed form."""

    data: Path = field(kw_only=False)
    longest: int = 64


class MeansJob:
    """Computes a linear layer from the means m of the features x: |x - m|^2 is least where mx - |m|^2 / 2 is most."""

    def __init__(self, settings: Means) -> None:
        self.data: Dataset = open_dataset(settings.data)
        names = {"classes": vocabulary_spec(self.data.tag_classes), "multi_label": False}
        start, saved = system_specs("classifier", "efficientnet_lite0", "", **names)
        self.model = Model(start.build().eval(), saved, PictureInputs(settings.longest), card={"title": "Means"})

    @torch.inference_mode()
    def run(self, out: Path, resume: bool, say: Callable[[str], None]) -> dict[str, float]:
        system = self.model.system
        rows: dict[int, list[torch.Tensor]] = {}
        for example in self.data:
            picture, label = example.picture()[None], int(example.annotation.tags.argmax())
            rows.setdefault(label, []).append(system.trunk(picture, ["pooled"])["pooled"][0])
        means = torch.stack([torch.stack(rows[label]).mean(0) for label in sorted(rows)])
        layer = system.heads["tags"].classifier
        layer.weight.copy_(means)
        layer.bias.copy_(-means.square().sum(1) / 2)
        say(f"{len(means)} means")
        return {"classes": float(len(means))}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of three plain pictures."""
    root = tmp_path_factory.mktemp("folders")
    for name, level in (("bright", 220), ("dark", 20)):
        (root / name).mkdir()
        for i in range(3):
            Image.new("RGB", (64, 64), (level, level, level + i)).save(root / name / f"{i}.png")
    return root


def test_a_fit_in_closed_form_is_run_and_saved_like_a_training(folders: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    settings = Means(folders, seed=3)
    assert train(settings, tmp_path / "run", build=MeansJob, say=lines.append) == {"classes": 2.0}
    assert lines == ["2 means"]
    assert json.loads((tmp_path / "run" / "recipe.json").read_text()) == {
        "recipe": "Means",
        "seed": 3,
        "data": str(folders),
        "longest": 64,
    }
    model = hub.load(tmp_path / "run")
    assert list(model.card) == ["title", "scores", "command", "recipe", "duration", "machine"]
    assert model.card["scores"] == {"classes": 2.0}
    assert model.card["recipe"]["seed"] == 3
    for name in ("bright", "dark"):
        scene = Predictor(model)(folders / name / "1.png")
        assert scene.tag_classes[int(scene.tags.argmax())] == name
    with pytest.raises(OutputError, match="holds a run already"):
        train(settings, tmp_path / "run", build=MeansJob)


def test_settings_of_no_recipe_want_their_build_said(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Means: is no recipe of the table; say what builds it"):
        train(Means(folders), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_trainings_are_said_by_the_settings() -> None:
    once = FewLabels(seed=4)
    assert once.jobs() == {"": once}
    assert FewLabels(seed=4, resamples=2, shots=3).jobs() == {
        "resample-0": FewLabels(seed=4, shots=3),
        "resample-1": FewLabels(seed=5, shots=3),
    }
    assert Means(Path("data")).jobs() == {"": Means(Path("data"))}


def test_a_resample_that_stands_already_is_refused_before_anything_is_done(folders: Path, tmp_path: Path) -> None:
    class Untouched:
        def __init__(self, settings: FewLabels) -> None:
            raise AssertionError("was built")

    (tmp_path / "run" / "resample-1").mkdir(parents=True)
    (tmp_path / "run" / "resample-1" / "recipe.json").write_text("{}")
    with pytest.raises(OutputError, match="resample-1: holds a run already"):
        train(FewLabels(resamples=2), tmp_path / "run", build=Untouched)
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_the_card_of_resamples_is_that_of_the_first_and_what_all_say(folders: Path, tmp_path: Path) -> None:
    def build(settings: FewLabels) -> Resamples:
        def one(number: int) -> MeansJob:
            job = MeansJob(Means(folders))
            whole = job.run
            job.run = lambda *given: {"share": number * whole(*given)["classes"]}  # 2, then 4
            return job

        each = enumerate(settings.jobs().items(), 1)
        return Resamples([Training(name, own, 6, lambda n=n: one(n)) for n, (name, own) in each], settings.shots)

    settings = FewLabels(resamples=2, seed=7)
    assert train(settings, tmp_path / "run", build=build, say=lambda line: None) == {"share": 3.0}
    card = hub.load(tmp_path / "run").card
    assert card["scores"] == {"share": 2.0}
    assert card["over resamples"] == {"share": "3.000 ± 12.706"}  # Student's t of one degree of freedom times 1
    assert (card["recipe"]["seed"], card["recipe"]["resamples"]) == (7, 1)
    written = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (written["seed"], written["resamples"]) == (7, 2)


def test_ranges_are_checked_whatever_builds(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Bounded(Recipe):
        share: Annotated[float, Within(0, 1)] = 2.0

    with pytest.raises(TrainingError, match=r"--share 2\.0: must be from 0 to 1"):
        train(Bounded(), tmp_path / "run", build=MeansJob)


def test_a_staged_job_takes_a_step_of_several_turns(tmp_path: Path) -> None:
    class Both(TrainingStep):
        turns = ("up", "down")

        def forward(self, batch: torch.Tensor, turn: str) -> dict[str, torch.Tensor]:
            part = self.system.weight if turn == "up" else self.system.bias
            return {"all": -part.sum() if turn == "up" else part.sum()}

    class Ones:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, key: Key) -> torch.Tensor:
            return torch.ones(1)

    layer = torch.nn.Linear(1, 1)
    before = layer.weight.item(), layer.bias.item()
    optimizers = {"up": torch.optim.SGD([layer.weight], 0.1), "down": torch.optim.SGD([layer.bias], 0.1)}
    job = StagedJob(
        model=SimpleNamespace(system=layer, card={}),
        learner=Both(layer),
        data=Ones(),
        collate=None,
        stages=[Stage("", lambda: (optimizers, FitConfig(epochs=1, batch_size=2)))],
        evaluate=lambda system: {"same": float(system is layer)},
    )
    assert job.run(tmp_path, False, print) == {"same": 1.0}
    assert layer.weight.item() > before[0]
    assert layer.bias.item() < before[1]
