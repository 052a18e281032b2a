"""Data sets of features: what a frozen trunk makes of every look at every picture, computed once."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from allsight.data.feature_cache import FeatureCache
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.loading import packed
from allsight.data.views import Look, Looks
from allsight.errors import PictureError
from allsight.scene import Frame, Scene


class Eyes(NamedTuple):
    """What turns pictures into features.

    Args:
        name: a hash of all that the features depend on beside the picture: weights, names, precision.
        names: of the features.
        see: from one picture (1, 3, H, W) uint8 to its features by name, one row each.
    """

    name: str
    names: tuple[str, ...]
    see: Callable[[Tensor], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class FeatureSample:
    """One look at one picture: features by name without the batch's dimension, scene and frame, the file's path."""

    features: dict[str, Tensor]
    scene: Scene
    frame: Frame
    name: str


@dataclass(frozen=True, eq=False)
class FeatureBatch:
    """Samples of one size: features (B, ...) float32 by name, B frames, B scenes in the model's pixels, B paths."""

    features: dict[str, Tensor]
    frames: list[Frame]
    scenes: list[Scene]
    names: list[str]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "FeatureBatch":
        """Return the batch with its features on a device; scenes stay on the CPU."""
        moved = {name: feature.to(device, non_blocking=non_blocking) for name, feature in self.features.items()}
        return FeatureBatch(moved, self.frames, self.scenes, self.names)


def collate_features(samples: Sequence[FeatureSample]) -> FeatureBatch:
    """Put samples of one size together; maps lie channels last, in which convolutions take a fifth less time."""
    features = {name: torch.stack([s.features[name] for s in samples]).float() for name in samples[0].features}
    maps = {
        name: feature.contiguous(memory_format=torch.channels_last)
        for name, feature in features.items()
        if feature.ndim == 4
    }
    return FeatureBatch(
        features | maps, [s.frame for s in samples], [s.scene for s in samples], [s.name for s in samples]
    )


class FeatureSet:
    """The features of a data set; `fill` first computes those that the cache does not have.

    All looks at a picture lie in one file. The scenes of all looks are kept in memory, the features are not.

    Args:
        dataset: the pictures.
        looks: how each is looked at; the same number for all.
        eyes: what sees them.
        cache: where features lie.

    Raises:
        PictureError: a picture cannot be read.
    """

    def __init__(self, dataset: Dataset, looks: Looks, eyes: Eyes, cache: FeatureCache) -> None:
        self.dataset, self.eyes, self.cache = dataset, eyes, cache
        self.damaged = self.bytes = 0
        self._looks = looks
        self._contents = [_content(example) for example in dataset]
        self._keys: list[str] = []
        self._scenes: list[list[Scene]] = []
        self._frames: list[list[Frame]] = []
        for index, example in enumerate(dataset):
            planned, small = self._look(index), packed(example.scene)
            told = "\n".join([eyes.name, self._contents[index], *map(str, planned)])
            self._keys.append(hashlib.sha256(told.encode()).hexdigest()[:32])
            self._scenes.append([look.scene(small) for look in planned])
            self._frames.append([look.frame for look in planned])

    def _look(self, index: int) -> list[Look]:
        return self._looks(self.dataset[index].annotation, int(self._contents[index][:15], 16))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> FeatureSample:
        """Return picture `index` as epoch `epoch` sees it: epoch by epoch, one look after the other.

        Args:
            key: (epoch, index), from a sampler.
        """
        epoch, index = key
        return self.sample(index, (epoch + index) % len(self._scenes[index]))

    def sample(self, index: int, number: int = 0) -> FeatureSample:
        """Return one of the looks at picture `index`."""
        names = self.eyes.names
        tensors = self.cache.read(self._keys[index], [f"{number}.{name}" for name in names])
        scene, frame = self._scenes[index][number], self._frames[index][number]
        return FeatureSample(dict(zip(names, tensors, strict=True)), scene, frame, str(self.dataset[index].path))

    def missing(self) -> list[int]:
        """Return the pictures whose features are not in the cache, or damaged there (which is counted)."""
        first = {key: index for index, key in reversed(list(enumerate(self._keys)))}
        here = {index: self.cache.intact(key) for key, index in sorted(first.items(), key=lambda item: item[1])}
        self.damaged = sum(intact is False for intact in here.values())
        return [index for index, intact in here.items() if not intact]

    def fill(self, waiting: Sequence[int]) -> Iterator[int]:
        """Compute what is missing; give how many pictures are still to do after each.

        Args:
            waiting: what `missing` gave.

        Raises:
            TrainingError: they take more than the cache may hold. PictureError: a picture cannot be read.
        """
        for done, index in enumerate(waiting, 1):
            features = self._compute(index)
            size = sum(feature.numel() * feature.element_size() for feature in features.values())
            if done == 1:
                self.cache.make_room(size * len(waiting))
            self.bytes += self.cache.write(self._keys[index], features)
            yield len(waiting) - done

    def _compute(self, index: int) -> dict[str, Tensor]:
        """The features of all looks at a picture, named NUMBER.NAME, in float16."""
        planned, example = self._look(index), self.dataset[index]
        pixels = example.picture(longest=2 * max(max(look.frame.padded) for look in planned))
        # One by one: what lies between two layers stays in the processor's cache, and no bit depends on a batch.
        seen = [self.eyes.see(look.picture(pixels)[None]) for look in planned]
        return {f"{i}.{name}": row[0].half() for i, features in enumerate(seen) for name, row in features.items()}


def _content(example: Example) -> str:
    """A hash of what the picture shows, wherever it lies."""
    if example.pixels is not None:
        pixels = example.pixels.numpy()
        return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
    try:
        with open(example.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PictureError(f"{example.path}: cannot be read ({error.strerror or error}); check the file") from error
