"""What a Spec takes as arguments."""

import json
from dataclasses import dataclass

import pytest

from allsight.scene import Vocabulary
from allsight.spec import Spec

SHADES = Vocabulary(("dark", "light"))


def test_a_part_among_the_arguments_becomes_its_spec() -> None:
    spec = Spec("classifier", {"classes": SHADES, "trunk": Spec("resnet18")})
    assert spec == Spec("classifier", {"classes": Spec.of(SHADES), "trunk": Spec("resnet18")})
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert Spec.from_json(spec.to_json()).arguments["classes"].build() == SHADES


def test_a_part_that_the_table_does_not_name_is_refused() -> None:
    @dataclass
    class Foreign:
        width: int = 3

    with pytest.raises(TypeError, match="Foreign is no dataclass that the table"):
        Spec("classifier", {"classes": Foreign()})
