"""Pictures that are the same, or nearly, found by their bytes and by small thumbnails."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from allsight.data.pictures.dataset import Example

SIDE = 16
ALIKE = 0.995  # correlation of thumbnails; one photo saved twice has 0.999, neighbouring film frames less


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is left of a picture for comparison.

    Args:
        digest: of the file's bytes.
        thumbnail: (SIDE * SIDE,) float32 of mean 0 and unit length; all 0 for a picture of one colour.
    """

    digest: bytes
    thumbnail: Tensor


def fingerprint(example: Example) -> Fingerprint:
    """Decode a picture, at reduced scale where the format allows it, and keep its fingerprint.

    Raises:
        PictureError: it cannot be read.
    """
    picture = example.picture(longest=8 * SIDE)
    content = example.path.read_bytes() if example.pixels is None else example.pixels.numpy().tobytes()
    grey = picture.float().mean(0)[None, None]
    small = functional.interpolate(grey, size=(SIDE, SIDE), mode="bilinear", antialias=True).flatten()
    small = small - small.mean()
    plain = small.abs().max() < 1
    return Fingerprint(hashlib.blake2b(content, digest_size=16).digest(), _unit(small) * (not plain))


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
