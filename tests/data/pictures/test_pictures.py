"""Pictures of every kind are read, every kind of non-picture is refused in one line."""

import io
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from allsight.data.pictures.reading import find_pictures, letterbox, picture_size, read_picture, resize
from allsight.errors import PictureError
from allsight.scene import Frame


def ramp(height: int = 30, width: int = 40) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 6, y * 8, 255 - x * 6], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_convention_rgb_channel_first() -> None:
    picture = read_picture(encoded(Image.fromarray(ramp())))
    assert picture.dtype == torch.uint8
    assert picture.is_contiguous()
    assert torch.equal(picture, torch.from_numpy(ramp()).permute(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "TIFF", "PNG", "WEBP"])
def test_exif_orientation_is_obeyed(orientation: int, form: str, tmp_path: Path) -> None:
    image = Image.fromarray(ramp())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{form.lower()}"
    image.save(path, form, exif=exif)
    with Image.open(path) as again:
        truth = np.asarray(ImageOps.exif_transpose(again).convert("RGB"))
    picture = read_picture(path)
    assert np.array_equal(picture.permute(1, 2, 0).numpy(), truth)
    assert picture_size(path) == tuple(picture.shape[1:])


def test_grey_palette_and_black_and_white() -> None:
    image = Image.fromarray(ramp())
    for mode in ("L", "P", "1"):
        converted = image.convert(mode)
        truth = np.asarray(converted.convert("RGB"))
        assert np.array_equal(read_picture(encoded(converted)).permute(1, 2, 0).numpy(), truth)


def test_transparency_lies_on_white() -> None:
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[..., 0] = 200
    rgba[0, :, 3] = 255
    rgba[1, 1, 3] = 128
    picture = read_picture(encoded(Image.fromarray(rgba)))
    assert picture[:, 0, 0].tolist() == [200, 0, 0]
    assert picture[:, 1, 0].tolist() == [255, 255, 255]
    assert picture[:, 1, 1].tolist() == pytest.approx([227, 127, 127], abs=1)
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    see_through = read_picture(encoded(palette, transparency=0))
    assert see_through[:, 0].T.tolist() == [[255, 255, 255], [0, 0, 255]]


def test_cmyk_looks_like_its_rgb() -> None:
    image = Image.fromarray(np.full((16, 16, 3), (200, 100, 50), np.uint8))
    picture = read_picture(encoded(image.convert("CMYK"), "JPEG", quality=100))
    assert picture.float().mean((1, 2)).tolist() == pytest.approx([200, 100, 50], abs=3)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(form: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    picture = read_picture(encoded(Image.fromarray(values), form))
    assert picture.shape == (3, 1, 4)
    assert picture[0].tolist() == [[0, 1, 128, 255]]


def test_floating_point_is_stretched() -> None:
    values = np.array([[-1.0, 0.0, 1.0]], dtype=np.float32)
    assert read_picture(encoded(Image.fromarray(values), "TIFF"))[0].tolist() == [[0, 128, 255]]


def test_reduced_decoding_is_never_smaller_than_asked_and_looks_alike(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(ramp(30, 40)).resize((1601, 1203)).save(path, quality=95)
    whole = read_picture(path)
    for longest in (100, 201, 400, 800, 801, 1600, 5000):
        picture = read_picture(path, longest=longest)
        assert max(picture.shape) >= min(longest, 1601)
        assert max(picture.shape) <= 1601
        small = [resize(each, (60, 80)).int() for each in (picture, whole)]
        assert (small[0] - small[1]).abs().max() <= 6
    assert read_picture(path, longest=200).shape == (3, 151, 201)


def test_one_pixel() -> None:
    picture = read_picture(encoded(Image.new("RGB", (1, 1), (1, 2, 3))))
    assert picture.flatten().tolist() == [1, 2, 3]
    assert letterbox(picture, Frame.fit((1, 1), 64)).shape == (3, 64, 64)


def refused(source: Path | bytes) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(source)
    message = str(caught.value)
    assert "\n" not in message
    if isinstance(source, Path):
        assert message.startswith(str(source))
    return message


def test_bad_input_is_refused_in_one_line(tmp_path: Path) -> None:
    text, empty, folder, cut = (tmp_path / name for name in ("not a picture.jpg", "ü empty.png", "dir.jpg", "cut.jpg"))
    text.write_text("hello")
    empty.write_bytes(b"")
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    cut.write_bytes(encoded(Image.fromarray(noise), "JPEG")[:5000])
    assert "not a picture" in refused(text)
    assert "zero bytes" in refused(empty)
    assert "folder" in refused(folder)
    assert "truncated" in refused(cut)
    assert "does not exist" in refused(tmp_path / "missing.jpg")
    assert "zero bytes" in refused(b"")
    refused(encoded(Image.fromarray(ramp()))[:-40])


def test_programs_are_no_pictures() -> None:
    """EPS is PostScript: reading it would mean running it."""
    assert "convert it" in refused(encoded(Image.fromarray(ramp()), "EPS"))


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(Image.fromarray(ramp())))
    path.chmod(0)
    assert "permissions" in refused(path)


def test_no_permission_for_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", deny)
    assert "permissions" in refused(tmp_path / "secret.png")


@pytest.mark.parametrize("side", [60_000, 11_000])
def test_bomb_is_refused_before_decoding_and_without_noise(side: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    whole = encoded(Image.new("1", (8, 8)))
    header = whole[16:24], side.to_bytes(4, "big") * 2
    content = bytearray(whole.replace(*header, 1))
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    program = (
        "import sys\nfrom allsight.data.pictures.reading import read_picture\n"
        "from allsight.errors import PictureError\n"
        "try:\n    read_picture(sys.argv[1])\nexcept PictureError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert "million pixels" in done.stdout
    assert done.stderr == ""


@pytest.mark.filterwarnings("ignore")
@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_picture_or_a_picture_error(noise: bytes, at: int) -> None:
    """Flipped bytes anywhere in a picture never lead to another kind of error."""
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF"):
        content = bytearray(encoded(Image.fromarray(ramp(8, 8)), form))
        content[at : at + len(noise)] = noise
        try:
            picture = read_picture(bytes(content))
        except PictureError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert picture.shape[0] == 3


def test_find_pictures(tmp_path: Path) -> None:
    names = ["b.JPG", "a ü.png", "sub folder/c.tif", ".hidden.jpg", "notes.txt", "[x].jpg"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures([tmp_path])]
    assert found == ["[x].jpg", "a ü.png", "b.JPG", "sub folder/c.tif"]
    assert find_pictures([tmp_path / "*.JPG"]) == [tmp_path / "b.JPG"]
    assert find_pictures([tmp_path / "[x].jpg"]) == [tmp_path / "[x].jpg"]
    assert find_pictures([tmp_path / "b.JPG", tmp_path]) == [tmp_path / "b.JPG"] + [
        tmp_path / name for name in found if name != "b.JPG"
    ]
    assert find_pictures([tmp_path / "missing.jpg", tmp_path / "notes.txt"]) == [
        tmp_path / "missing.jpg",
        tmp_path / "notes.txt",
    ]
    for nothing in (tmp_path / "folder.jpg", tmp_path / "*.gif"):
        with pytest.raises(PictureError, match=r"no pictures|nothing matches"):
            find_pictures([nothing])


def test_resize_agrees_with_pillow() -> None:
    picture = torch.from_numpy(ramp(31, 41)).permute(2, 0, 1).contiguous()
    for size in ((10, 12), (50, 70), (31, 12)):
        truth = Image.fromarray(ramp(31, 41)).resize(size[::-1], Image.Resampling.BILINEAR)
        difference = resize(picture, size).permute(1, 2, 0).int() - torch.from_numpy(np.array(truth)).int()
        assert difference.abs().max() <= 1


def test_letterbox_pads_on_the_right_and_below() -> None:
    picture = torch.full((3, 40, 30), 200, dtype=torch.uint8)
    frame = Frame.fit((40, 30), 64)
    boxed = letterbox(picture, frame, fill=(1, 2, 3))
    assert boxed.shape == (3, 64, 64)
    assert (boxed[:, :, :48] == 200).all()
    assert boxed[:, 5, 48].tolist() == [1, 2, 3]
