"""Pictures that are the same, or nearly, found by their bytes and by small thumbnails."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from allsight.data.pictures.dataset import Example
from allsight.errors import PictureError

SIDE = 16
ALIKE = 0.995  # correlation of thumbnails; one photo saved twice has 0.999, neighbouring film frames less


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is left of a picture for comparison.

    Args:
        digest: of the file's bytes.
        thumbnail: (SIDE * SIDE,) float32 of mean 0 and unit length; all 0 for a picture of one colour.
        brightest: the greatest value of a pixel, 0 to 255.
    """

    digest: bytes
    thumbnail: Tensor
    brightest: int = 255


def fingerprint(example: Example) -> Fingerprint:
    """Decode a picture, at reduced scale where the format allows it, and keep its fingerprint.

    Raises:
        PictureError: it cannot be read.
    """
    picture = example.picture(longest=8 * SIDE)
    grey = picture.float().mean(0)[None, None]
    small = functional.interpolate(grey, size=(SIDE, SIDE), mode="bilinear", antialias=True).flatten()
    small = small - small.mean()
    plain = small.abs().max() < 1
    return Fingerprint(digest_of(example), _unit(small) * (not plain), int(picture.max()))


def digest_of(example: Example) -> bytes:
    """Return what is the same for pictures of equal bytes, and hardly ever for others.

    Raises:
        PictureError: the file cannot be read.
    """
    if example.pixels is not None:
        return hashlib.blake2b(example.pixels.numpy().tobytes(), digest_size=16).digest()
    try:
        return hashlib.blake2b(example.path.read_bytes(), digest_size=16).digest()
    except OSError as error:
        raise PictureError(f"{example.path}: cannot be read ({error.strerror}); check path and disk") from None


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm().clamp_min(1e-9)


def find_twins(prints: list[Fingerprint], groups: list[int]) -> list[tuple[int, int, bool]]:
    """Return pairs of pictures of different groups that are alike.

    Args:
        prints: N fingerprints. groups: N numbers, the split of each.

    Returns:
        (first, second, whether all bytes are equal), each picture paired at most once with an earlier group.
    """
    if not prints:
        return []
    thumbnails = torch.stack([each.thumbnail for each in prints])
    group = torch.tensor(groups)
    pairs = []
    for number in range(1, max(groups) + 1):
        here, before = torch.nonzero(group == number)[:, 0], torch.nonzero(group < number)[:, 0]
        if not len(before):
            continue
        digests = {prints[i].digest: i for i in before.tolist()}
        for some in here.split(1024):
            best, at = (thumbnails[some] @ thumbnails[before].T).max(1)
            for i, likeness, j in zip(some.tolist(), best.tolist(), before[at].tolist(), strict=True):
                same = digests.get(prints[i].digest)
                if same is not None:
                    pairs.append((same, i, True))
                elif likeness > ALIKE:
                    pairs.append((j, i, False))
    return pairs


def find_copies(prints: list[Fingerprint], groups: list[int]) -> list[tuple[int, int]]:
    """Return pairs of pictures of one group whose bytes are equal: the first one of each and every other.

    Args:
        prints: N fingerprints. groups: N numbers, the split of each.
    """
    first: dict[tuple[int, bytes], int] = {}
    pairs = []
    for i, (each, group) in enumerate(zip(prints, groups, strict=True)):
        j = first.setdefault((group, each.digest), i)
        if j != i:
            pairs.append((j, i))
    return pairs
