"""What the tests of exported models share."""

from pathlib import Path

import pytest

from allsight.hub import Model

pytest.register_assert_rewrite("same_answers")


@pytest.fixture(scope="module")
def narrowed(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    """The test module's model, told to compute nothing but what is shown of its class "b", and its graph."""
    from same_answers import narrowed_with_graph

    return narrowed_with_graph(model, "b", tmp_path_factory.mktemp("graphs"))
