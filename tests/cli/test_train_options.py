"""The command line of every recipe: what people have typed goes on to work, and help says what may be given."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from allsight.cli.main import main
from allsight.cli.train import NEXT_STEPS, _next_step
from allsight.recipes import RECIPES, recipe_class
from allsight.recipes.common.ranges import ranges

# Written down before settings were shared among recipes.
OPTIONS: dict[str, Any] = json.loads((Path(__file__).parent / "train_options.json").read_text())


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no line of help is broken before an option's name."""
    monkeypatch.setenv("COLUMNS", "500")


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["train", name, "--help"]) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def test_every_recipe_is_written_down() -> None:
    assert set(OPTIONS) <= set(RECIPES)


@pytest.mark.parametrize("name", OPTIONS)
def test_options_have_kept_their_names_and_defaults(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = set(re.findall(r"^[│ ]*(--[a-z][a-z0-9-]*)", help_of(name, capsys), re.M))
    assert shown == set(OPTIONS[name]["options"])
    given = {field.name for field in fields(recipe_class(name))} - set(OPTIONS[name]["defaults"])
    recipe = recipe_class(name)(**dict.fromkeys(given, Path("data")))
    assert given <= {"data"}
    for setting, default in OPTIONS[name]["defaults"].items():
        value = getattr(recipe, setting)
        assert (list(value) if isinstance(value, tuple) else value) == default, setting


@pytest.mark.parametrize("name", RECIPES)
def test_help_says_the_range_of_every_setting_behind_its_default(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", help_of(name, capsys)).split())
    recipe = recipe_class(name)
    for setting, limits in ranges(recipe).items():
        default = getattr(recipe, setting)
        text = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        option = re.escape(f"--{setting.replace('_', '-')} ")
        assert re.search(rf"{option}[^()]*(\([^()]*\)[^()]*)*?\(default: {re.escape(text)}; {limits}\)", words), setting


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        ({}, "look at pictures with: allsight see PATH --model {run}"),
        ({"inputs": {"builder": "pictures"}}, "look at pictures with: allsight see PATH --model {run}"),
        ({"inputs": {"builder": "tokens"}}, 'open it with: allsight.load("{run}")'),
    ],
)
def test_what_to_do_next_follows_from_the_kind_of_inputs(
    inputs: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"spec": {}, **inputs}))
    assert _next_step(tmp_path) == line.format(run=tmp_path)
    monkeypatch.setitem(NEXT_STEPS, "tokens", "write on with: allsight write --model {run}")
    assert (f"--model {tmp_path}" in _next_step(tmp_path)) is True
