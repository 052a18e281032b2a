"""Whatever lies in a file, reading ends in values or in one line that names it."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.data.formats.arrays import read_arrays
from allsight.data.formats.assembly import classes_of
from allsight.data.formats.entries import Entry
from allsight.data.formats.locations import Finder
from allsight.data.formats.parsing import is_text, read_json, read_lines, read_xml, read_yaml
from allsight.data.pictures.outlines import draw_outlines, drawable
from allsight.errors import AnnotationError

from ..conftest import save_picture

READERS = (read_json, read_xml, read_yaml, read_lines)


@given(st.one_of(st.binary(max_size=60), st.text("[]{}<>&*:-!?,'\"\n\t aé0", max_size=40).map(str.encode)))
@settings(max_examples=200, deadline=None)
def test_readers_raise_one_kind_of_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "some.file"
    file.write_bytes(content)
    for reader in READERS:
        said = message(reader, file)
        assert said is None or (said.startswith(str(file)) and "\n" not in said)


def message(reader: Callable[[Path], object], file: Path) -> str | None:
    """Return what a reader says is wrong with a file, or None."""
    try:
        reader(file)
    except AnnotationError as error:
        return str(error)
    return None


def yaml(tmp_path: Path, text: str) -> object:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    return read_yaml(file)


def test_yaml_is_text(tmp_path: Path) -> None:
    text = "names: [no, Yes, 007, 1e3, ~, 2024-13-01, .inf, 0x1F]\npath:\n0: {a: 'b c', ? d : |\n    e}\n"
    value = yaml(tmp_path, text.replace(", ? d : |\n    e", ""))
    assert value == {
        "names": ["no", "Yes", "007", "1e3", "~", "2024-13-01", ".inf", "0x1F"],
        "path": "",
        "0": {"a": "b c"},
    }
    assert yaml(tmp_path, "") is None
    assert yaml(tmp_path, "- [a, [b]]\n- {}\n") == [["a", ["b"]], {}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", r"line 2 refers to \*x"),
        ("a: 1\nb: 2\na: 3\n", "line 3 has the key 'a' for the second time"),
        ("? [a]\n: b\n", "a key that is no text"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_yaml_that_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=said):
        yaml(tmp_path, text)


def test_deep_yaml_and_json_are_no_recursion(tmp_path: Path) -> None:
    for reader, text in ((read_yaml, "[" * 20_000), (read_json, "[" * 200_000)):
        file = tmp_path / "deep"
        file.write_text(text)
        with pytest.raises(AnnotationError, match="deep: is not valid"):
            reader(file)


def test_entries() -> None:
    entry = Entry({"a": "7", "b": 7.0, "c": 7.5, "d": True, "e": 10**20, "f": "0", "g": None, "h": "maybe"}, "x", 0)
    assert (entry.whole("a"), entry.whole("b")) == (7, 7)
    for key in ("c", "d", "e", "g", "h"):
        with pytest.raises(AnnotationError, match="no whole number"):
            entry.whole(key)
    assert [entry.flag(key) for key in ("d", "f", "g", "missing")] == [True, False, False, False]
    with pytest.raises(AnnotationError, match="neither 0 nor 1"):
        entry.flag("h")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\ud800", "a\u2028b", "\x00"])
def test_names_that_are_no_text_are_refused_where_they_are_read(name: str, tmp_path: Path) -> None:
    assert not is_text(name)
    with pytest.raises(AnnotationError, match="what is no text"):
        classes_of(tmp_path / "x", ["cat", name])
    assert is_text("chat noir é 猫 <&>\"'")


@pytest.mark.parametrize(
    "outline",
    [
        [[1, 2, 3, 4, 5, 2.0**32]],
        [[1, 2, 3, 4, 5, 1e308]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[-1e9, 2, 3, 4, 5, 6]],
        {"size": [48, 64], "counts": [2**31, 5]},
        {"size": [48, 64], "counts": [-5, 48 * 64 + 5]},
        {"size": 5, "counts": "x"},
        {"counts": [1]},
    ],
)
def test_outlines_that_would_break_the_drawing_are_refused_before(outline: object) -> None:
    assert not drawable(outline, (48, 64))
    with pytest.raises(AnnotationError, match="cannot be drawn"):
        draw_outlines([outline], (48, 64))
    assert drawable([[-20, -20, 90, -20, 90, 70]], (48, 64))


def test_an_archive_that_says_it_is_huge_is_not_unpacked(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**20, 64, 64, 3)})
    with zipfile.ZipFile(tmp_path / "train.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(AnnotationError, match="more than 2 GiB"):
        read_arrays(tmp_path)


def test_any_byte_of_an_archive_may_be_wrong(tmp_path: Path) -> None:
    file = tmp_path / "train.npz"
    images = np.random.default_rng(0).integers(0, 255, (2, 4, 5, 3), dtype=np.uint8)
    np.savez_compressed(file, images=images, labels=np.array([1, 0]), classes=np.array(["a", "b"]))
    whole = file.read_bytes()
    for i in range(0, len(whole), 3):
        file.write_bytes(whole[:i] + struct.pack("B", whole[i] ^ 0x5A) + whole[i + 1 :])
        assert "\n" not in (message(read_arrays, file) or "")


def test_names_of_pictures_as_tools_spell_them(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "a b.jpg")
    save_picture(tmp_path / "other" / "c.jpg")
    finder = Finder([tmp_path / "images", tmp_path])
    for name in ("a b.jpg", "images\\a b.jpg", "images/a%20b.jpg", "C:\\work\\images\\a b.jpg", "/data/x/a b.jpg"):
        assert finder.find(name) == finder.place("a b.jpg"), name
    assert finder.find("s3://bucket/images/a%20b.jpg") is not None
    assert finder.find("c.jpg") is None
    assert finder.find("elsewhere/a b.jpg") is None
    assert finder.find("x" * 300 + ".jpg") is None
    assert finder.find("a\0b.jpg") is None
