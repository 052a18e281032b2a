"""Pictures from disk to uint8 tensors: found, measured, decoded, scaled and padded."""

import glob
import io
import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from allsight.data.pictures.listing import is_residue
from allsight.errors import PictureError, reason
from allsight.scene import Frame

HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif"))  # of telephones; read with the extra `heif`, or said
PICTURE_SUFFIXES = HEIF_SUFFIXES | frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2", ".avif")
)
PIXEL_LIMIT = 120_000_000
# Only what decodes inside Pillow: its EPS reader, for one, would hand a stranger's program to Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
FILL = (124, 116, 104)  # the mean colour of ImageNet: close to 0 after every trunk's normalisation

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pictures over our own limit are refused, and a broken EXIF block is no news: Pillow's warnings would say both twice.
# A filter of the whole process, because warnings.catch_warnings is not safe among decoding threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _with_heif() -> bool:
    """Teach Pillow HEIC if pi-heif is there; whether it is."""
    try:
        import pi_heif

        pi_heif.register_heif_opener()
    except Exception:  # not there, or broken: then a HEIC picture says what to install
        return False
    return True


HEIF = _with_heif()


def read_picture(source: str | Path | bytes, *, longest: int | None = None) -> Tensor:
    """Decode a picture as it is meant to be seen.

    EXIF orientation is obeyed. Transparent pictures are laid on white, as a browser shows them. 16-bit grey is scaled
    by 1/257; 32-bit and floating-point grey is stretched from its least to its greatest value. Of an animation, the
    first frame is read.

    Args:
        source: where the picture lies, or its bytes.
        longest: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its longer side is still at least this many pixels
            then, which costs as much less. Other formats come at full size.

    Returns:
        (3, height, width) uint8 RGB.

    Raises:
        PictureError: missing, not a picture, truncated, no permission or more than `PIXEL_LIMIT` pixels.
    """
    with opened(source) as image:
        if longest is not None and longest < max(image.size):
            # Only the longer side counts; draft takes the strongest reduction that keeps both sides at least so long.
            image.draft(None, (longest, 1) if image.width >= image.height else (1, longest))
        turn = _TURNS.get(_orientation(image))
        image.load()
        shown = _shown(image)
        array = np.array(shown.transpose(turn) if turn is not None else shown)
    if array.ndim == 2:  # grey: three times the same, without a coloured copy in between
        return torch.from_numpy(array).expand(3, -1, -1).contiguous()
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def picture_size(source: str | Path | bytes) -> tuple[int, int]:
    """Return (height, width) of a picture as `read_picture` gives it, from its header alone.

    Raises:
        PictureError: as `read_picture`, but what is truncated or broken behind the header is not noticed.
    """
    with opened(source) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


@contextmanager
def opened(source: str | Path | bytes) -> Iterator[Image.Image]:
    """Open a picture, check its size before decoding and turn whatever goes wrong inside into a PictureError.

    Args:
        source: where it lies, or its bytes.

    Raises:
        PictureError: as `read_picture`.
    """
    name = "a picture in memory" if isinstance(source, bytes) else str(source)
    if not isinstance(source, bytes) and _never_ends(source):
        raise PictureError(f"{name}: is a pipe or a device; save its picture as a file")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_known_formats()) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise Image.DecompressionBombError
            yield image
    except PictureError:
        raise
    except Image.DecompressionBombError:
        limit = PIXEL_LIMIT // 1_000_000
        raise PictureError(f"{name}: has more than {limit} million pixels; scale it down or cut it up") from None
    except Image.UnidentifiedImageError:
        raise PictureError(f"{name}: {_what_instead(source)}") from None
    except FileNotFoundError:
        raise PictureError(f"{name}: does not exist; check the path") from None
    except PermissionError:
        raise PictureError(f"{name}: may not be read; check the permissions of the file") from None
    except IsADirectoryError:
        raise PictureError(f"{name}: is a folder, not a picture; name the pictures in it") from None
    except MemoryError:
        raise PictureError(f"{name}: does not fit into memory; scale it down") from None
    # Pillow's decoders raise all of these on broken files.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, TypeError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # from the system, not from a decoder
            raise PictureError(f"{name}: cannot be read ({error.strerror}); check path and disk") from None
        raise PictureError(
            f"{name}: is damaged or truncated ({reason(error)}); copy it again or leave it out"
        ) from None


@cache
def _known_formats() -> tuple[str, ...]:
    """Return those of our formats that this Pillow has: AVIF came with 11.3, HEIF comes with pi-heif."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _never_ends(source: str | Path) -> bool:
    """Whether reading may wait for ever: a named pipe, a socket, a device."""
    return os.path.exists(source) and not (os.path.isfile(source) or os.path.isdir(source))


def _what_instead(source: str | Path | bytes) -> str:
    head = source[:16] if isinstance(source, bytes) else _head(source)
    if not head:
        return "is empty (zero bytes); copy it again or leave it out"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and not HEIF:
        return 'is HEIC, which is not read without an extra; run: pip install "allsight[heif]", or convert it to JPEG'
    if head[4:12] in (b"ftypavif", b"ftypavis") and "AVIF" not in _known_formats():
        return "is AVIF, which this Pillow does not read; run: pip install --upgrade pillow, or convert it to JPEG"
    return "is not a picture that can be read; convert it to JPEG or PNG or leave it out"


def _head(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(16)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, that has still to be applied."""
    # TIFF is turned by Pillow itself; PNG would have to be decoded to look for EXIF behind the pixels.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    try:
        value = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1  # a broken EXIF block does not spoil the pixels
    return value if value in _TURNS else 1


def _shown(image: Image.Image) -> Image.Image:
    """Return a picture in RGB, or in grey of 8 bits where it has more."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return _stretched(image, 0.0, 65535.0)
    if image.mode in ("I", "F"):
        return _stretched(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def _stretched(
    image: Image.Image, low: float | None = None, high: float | None = None, *, rows: int = 256
) -> Image.Image:
    """Return numbers from `low` (black; the least by default) to `high` (white; the greatest) as grey.

    Some rows at a time: doubles of a whole picture would take eight times its memory.
    """
    tops = range(0, image.height, rows)

    def some(top: int) -> np.ndarray:
        part = image.crop((0, top, image.width, min(top + rows, image.height)))
        return np.nan_to_num(np.asarray(part).astype(np.float64))

    low = min(float(some(top).min()) for top in tops) if low is None else low
    high = max(float(some(top).max()) for top in tops) if high is None else high
    spread = high / 2 - low / 2  # half of it: the whole of two huge numbers is infinite
    scale = 127.5 / spread if spread > 0 else 0.0
    grey = np.empty((image.height, image.width), dtype=np.uint8)
    for top in tops:
        grey[top : top + rows] = ((some(top) / 2 - low / 2) * (2 * scale)).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(grey)


def find_pictures(paths: Iterable[str | Path]) -> list[Path]:
    """Return the pictures that files, folders and globs name, each once, in a stable order.

    A folder gives all pictures in it and below, sorted, hidden ones left out; links to folders are not followed. A file
    that is named itself is always kept, whatever its suffix and even if it does not exist, and so is a folder that may
    not be looked into: reading it says what is wrong, and the others go on.

    Raises:
        PictureError: a folder or a glob without any picture.
    """
    found: list[Path] = []
    for path in paths:
        text = str(path)
        if os.path.isdir(text):
            inside = _pictures_below(text)
            if not inside:
                raise PictureError(f"{text}: no pictures in this folder; name one with .jpg or .png files")
            found += inside
        elif not os.path.lexists(text) and glob.has_magic(text):
            matched = sorted(glob.glob(text, recursive=True))
            if not matched:
                raise PictureError(f"{text}: nothing matches this pattern; check it, or quote it for the shell")
            found += [each for m in matched for each in (_pictures_below(m) if os.path.isdir(m) else [Path(m)])]
        else:
            found.append(Path(text))
    return list(dict.fromkeys(found))


def _pictures_below(folder: str | Path) -> list[Path]:
    found: list[Path] = []

    def closed(error: OSError) -> None:
        found.append(Path(error.filename))

    for parent, folders, files in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not is_residue(name))
        pictures = (n for n in files if os.path.splitext(n)[1].lower() in PICTURE_SUFFIXES and not is_residue(n))
        found += [Path(parent, name) for name in sorted(pictures)]
    return found


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a picture with an antialiased triangle filter.

    torch's uint8 path on planar tensors takes 0.37 ms from 640x480 to 320x240 on one thread, Pillow's resize 1.1.

    Args:
        picture: (3, H, W) uint8.
        size: (height, width) of the result.

    Returns:
        (3, height, width) uint8.
    """
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    return functional.interpolate(picture[None], size=size, mode="bilinear", antialias=True)[0]


def letterbox(picture: Tensor, frame: Frame, fill: tuple[int, int, int] = FILL) -> Tensor:
    """Scale a picture and pad it on the right and below, as `frame` says.

    Args:
        picture: (3, H, W) uint8; at another scale than `frame.original` if it was decoded at reduced scale.
        fill: colour of the padding, 0 to 255.

    Returns:
        (3, *frame.padded) uint8.
    """
    small = resize(picture, frame.resized)
    return small if frame.padded == frame.resized else pad(small, frame.padded, fill)


def pad(picture: Tensor, size: tuple[int, int], fill: tuple[int, int, int] = FILL) -> Tensor:
    """Return a (3, H, W) picture in the upper left corner of one of (height, width) in the colour `fill`."""
    padded = torch.tensor(fill, dtype=picture.dtype)[:, None, None].repeat(1, *size)
    padded[:, : picture.shape[1], : picture.shape[2]] = picture
    return padded
