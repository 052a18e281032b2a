"""The lazy look-up: what a text names is imported, and what no table has is said in one line."""

import subprocess
import sys
from collections import OrderedDict

import pytest

from allsight.claims.method.claim import Claim
from allsight.claims.method.ledger import CLAIMS, claim
from allsight.errors import ModelError
from allsight.lookup import named
from allsight.recipes import RECIPES, recipe_class
from allsight.systems import builder

TABLE = {"ordered": "collections:OrderedDict", "counter": "collections:Counter"}


def test_a_name_gives_the_object_itself() -> None:
    assert named(TABLE, "ordered", "mapping") is OrderedDict


def test_a_name_nearly_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(ModelError) as caught:
        named(TABLE, "orderd", "mapping")
    assert str(caught.value) == "no mapping is called 'orderd'; did you mean ordered? there are ordered, counter"


def test_a_name_like_no_other_is_answered_with_what_there_is() -> None:
    with pytest.raises(ModelError) as caught:
        named(TABLE, "xyz", "mapping")
    assert str(caught.value) == "no mapping is called 'xyz'; there are ordered, counter"
    with pytest.raises(ModelError, match="there are none"):
        named({}, "xyz", "mapping")


@pytest.mark.parametrize(
    ("find", "name", "near"),
    [
        (builder, "retinanett", "retinanet"),
        (recipe_class, "segmentr", "segmenter"),
        (claim, "focal-los", "focal-loss"),
    ],
)
def test_systems_recipes_and_claims_are_looked_up_alike(find, name: str, near: str) -> None:
    with pytest.raises(ModelError, match=rf"is called '{name}'; did you mean {near}\?"):
        find(name)


def test_every_recipe_and_claim_of_the_tables_is_there() -> None:
    for name in RECIPES:
        assert isinstance(recipe_class(name), type)
    for name in CLAIMS:
        assert isinstance(claim(name), Claim)


def test_looking_up_a_recipe_needs_no_torch() -> None:
    code = "import sys; from allsight.recipes import recipe_class as of; of('digits'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
