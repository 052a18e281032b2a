"""From examples to batches: decoded once, augmented by (seed, epoch, index) alone, padded to one size."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from allsight.data.pictures.dataset import Dataset
from allsight.data.pictures.reading import FILL, letterbox, pad, resize
from allsight.machine.randomness import generator
from allsight.scene import Frame, Scene


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture on its way into a batch.

    Args:
        picture: (3, H, W) uint8 RGB.
        scene: what is in it, in the pixels of `picture`.
        name: the file's path, for messages.
        frame: how `picture` came from the original; only `scene` counts if it was augmented.
    """

    picture: Tensor
    scene: Scene
    name: str
    frame: Frame


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures of one size with their annotation in the same pixels.

    Args:
        pictures: (B, 3, H, W) uint8 RGB.
        frames: B, from original pixels to those of the batch.
        scenes: B, of size (H, W).
        names: B paths, for messages.
    """

    pictures: Tensor
    frames: list[Frame]
    scenes: list[Scene]
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch with its pictures on a device; scenes stay on the CPU."""
        return Batch(self.pictures.to(device, non_blocking=True), self.frames, self.scenes, self.names)

    def pin_memory(self) -> "Batch":
        """Return the batch with its pictures in pinned memory, as torch's DataLoader asks for."""
        # Grey pictures may be one plane seen three times, which cannot be pinned.
        return Batch(self.pictures.contiguous().pin_memory(), self.frames, self.scenes, self.names)


# (the sample, a source of others drawn at random, randomness) -> the sample as the model shall see it
Transform = Callable[[Sample, Callable[[], Sample], torch.Generator], Sample]


def collate(samples: Sequence[Sample], fill: tuple[int, int, int] = FILL, multiple: int = 32) -> Batch:
    """Pad samples on the right and below to the largest of them and to a multiple of the model's stride.

    Args:
        samples: at least one.
        fill: colour of the padding.
        multiple: the model's total stride.
    """
    sizes = [sample.picture.shape[-2:] for sample in samples]
    height, width = (-(-max(size[i] for size in sizes) // multiple) * multiple for i in (0, 1))
    pictures = torch.stack([pad(sample.picture, (height, width), fill) for sample in samples])
    frames = [Frame(sample.frame.original, sample.frame.resized, (height, width)) for sample in samples]
    scenes = [
        s.scene if s.scene.size == (height, width) else s.scene.crop(0, 0, height, width, min_visible=-1.0)
        for s in samples
    ]
    return Batch(pictures, frames, scenes, [sample.name for sample in samples])


class Cache:
    """Decoded samples kept in memory up to a number of bytes; the longest unused leave first.

    Args:
        limit: bytes of pictures.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._samples: OrderedDict[int, Sample] = OrderedDict()

    def get(self, index: int) -> Sample | None:
        """Return a sample if it is here."""
        sample = self._samples.get(index)
        if sample is not None:
            self._samples.move_to_end(index)
        return sample

    def put(self, index: int, sample: Sample) -> None:
        """Keep a sample unless it alone is larger than the limit."""
        if sample.picture.numel() > self.limit or index in self._samples:
            return
        self._samples[index] = sample
        self.held += sample.picture.numel()
        while self.held > self.limit:
            _, old = self._samples.popitem(last=False)
            self.held -= old.picture.numel()


class TrainingSet(torch.utils.data.Dataset):
    """Examples decoded, scaled down once and augmented; what `DataLoader(..., collate_fn=collate)` is given.

    Args:
        dataset: the examples.
        longest: pixels of the longer side before augmentation; larger pictures are scaled down to it when decoded and
            never up. About 1.25 times the model's size leaves something to crop from.
        transform: augmentation; None leaves pictures as they are.
        seed: of all randomness, together with epoch and index.
        cache: bytes of decoded pictures to keep, for each worker; 0 for none.
    """

    def __init__(
        self,
        dataset: Dataset,
        longest: int,
        transform: Transform | None = None,
        *,
        seed: int = 0,
        cache: int = 512 * 2**20,
    ) -> None:
        self.dataset = dataset
        self.longest = longest
        self.transform = transform
        self.seed = seed
        self._cache = Cache(cache)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Return sample `index` as epoch `epoch` sees it.

        Args:
            key: (epoch, index), from a sampler.

        Raises:
            PictureError: the picture cannot be read.
        """
        epoch, index = key
        sample = self.load(index)
        if self.transform is None:
            return _unpacked(sample)
        randomness = generator(self.seed, epoch, index)

        def draw() -> Sample:
            return self.load(int(torch.randint(len(self), (), generator=randomness)))

        return _unpacked(self.transform(sample, draw, randomness))

    def load(self, index: int) -> Sample:
        """Return a sample before augmentation, from the cache if it is there; its regions are uint8."""
        sample = self._cache.get(index)
        if sample is None:
            sample = self._decode(index)
            self._cache.put(index, sample)
        return sample

    def _decode(self, index: int) -> Sample:
        example = self.dataset[index]
        scene = example.scene
        frame = Frame.whole(scene.size)
        if max(scene.size) > self.longest:
            frame = Frame.fit(scene.size, self.longest, multiple=1)
        picture = resize(example.picture(longest=self.longest), frame.resized)
        return Sample(picture, frame.to_model(packed(scene)), str(example.path), frame)


def packed(scene: Scene) -> Scene:
    """Return a scene that is kept to be learned from: an eighth of the memory, and quicker to move.

    Regions are uint8, which all labels fit. Panoptic maps are left out: heads learn from instances and regions.
    """
    regions = None if scene.regions is None else scene.regions.to(torch.uint8)
    return scene.with_(regions=regions, panoptic=None, segments=None)


def _unpacked(sample: Sample) -> Sample:
    regions = sample.scene.regions
    return sample if regions is None else replace(sample, scene=sample.scene.with_(regions=regions.long()))


class EvaluationSet(torch.utils.data.Dataset):
    """Examples scaled to a model's size, without randomness; scenes come in model pixels with the frame to go back.

    Args:
        dataset: the examples.
        longest: pixels of the longer side; smaller pictures are scaled up.
        multiple: the model's total stride.
        fill: colour of the padding.
    """

    def __init__(
        self, dataset: Dataset, longest: int, *, multiple: int = 32, fill: tuple[int, int, int] = FILL
    ) -> None:
        self.dataset = dataset
        self.longest = longest
        self.multiple = multiple
        self.fill = fill

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Return sample `index`; raises PictureError if it cannot be read."""
        example = self.dataset[index]
        scene = example.scene
        frame = Frame.fit(scene.size, self.longest, self.multiple)
        picture = letterbox(example.picture(longest=self.longest), frame, self.fill)
        return Sample(picture, frame.to_model(scene), str(example.path), frame)
