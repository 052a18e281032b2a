"""Files that appear whole or not at all: what stood there stays, one line says why, and nothing is left behind."""

import json

import pytest

from allsight.errors import OutputError
from allsight.files import atomic, write_json, write_text


def test_a_parent_that_is_a_file_is_told_in_one_line(tmp_path):
    (tmp_path / "letter").write_text("dear")
    for place in ("letter/a.txt", "letter/deep/a.txt"):
        with pytest.raises(OutputError, match=r"a\.txt: cannot be written") as caught:
            write_text(tmp_path / place, "new")
        assert "\n" not in str(caught.value)
    assert (tmp_path / "letter").read_text() == "dear"


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    write_text(tmp_path / "deep" / "a.txt", "old")
    with pytest.raises(AttributeError), atomic(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("ne").and_then_it_breaks()
    assert [path.read_text() for path in (tmp_path / "deep").iterdir()] == ["old"]


def test_writing_nothing_is_a_failure(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), atomic(tmp_path / "a.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_a_name_may_be(tmp_path):
    path = tmp_path / ("ä" * 125 + "x.txt")
    write_text(path, "long")
    write_text(path, "longer")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["longer"]
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / ("x" * 256), "too long")


def test_half_a_character_is_written_as_json_has_it(tmp_path):
    write_json(tmp_path / "a.json", {"name": "a\udc80b"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"name": "a\udc80b"}
