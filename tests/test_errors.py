import pytest

from allsight.errors import reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("bbox"), "'bbox' is missing"),
        (ValueError("\n  first  line\nsecond"), "first line"),
        (EOFError(), "EOFError"),
        (OSError("x" * 500), "x" * 160),
    ],
)
def test_an_error_in_one_line(error, said):
    assert reason(error) == said
