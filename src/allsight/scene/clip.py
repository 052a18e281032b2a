"""`Clip`: pictures in time, with what is known of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import torch
from torch import Tensor

from allsight.errors import AnnotationError, reason
from allsight.scene import interchange
from allsight.scene.named_forms import tags_from_json, tags_to_json
from allsight.scene.scene import Scene
from allsight.scene.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Clip:
    """Pictures in time.

    A part of a clip keeps the time stamps of the whole and what is said of the whole.

    Args:
        frames: (T, 3, H, W) uint8 RGB; or a sequence of T pictures (3, H, W) that reads each when it is asked for it.
        times: (T,) float64, seconds since the start of what it was cut from, never falling.
        scenes: one a frame, or empty if not annotated.
        tags: (C,) float32 labels of the whole clip over `tag_classes`, or None if not annotated.
        sound: (channels, samples) float32 in [-1, 1], or None. sound_rate: samples per second.
        source: where it lies.
        tag_classes: the names behind `tags`.
        sound_start: when the first sample sounds, in the seconds of `times`.

    Raises:
        AnnotationError: lengths, sizes or times contradict each other.
    """

    frames: Tensor | Sequence[Tensor]
    times: Tensor
    scenes: tuple[Scene, ...] = ()
    tags: Tensor | None = None
    sound: Tensor | None = None
    sound_rate: int = 0
    source: str | None = None
    tag_classes: Vocabulary | None = None
    sound_start: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", self.times.double())
        object.__setattr__(self, "scenes", tuple(self.scenes))
        if problem := self._problem():
            raise AnnotationError(f"{self.source or 'a clip'}: {problem}")

    def _problem(self) -> str | None:
        frames, times = self.frames, self.times
        if isinstance(frames, Tensor) and (frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8):
            return f"frames are {frames.dtype} of shape {tuple(frames.shape)}, not uint8 of (T, 3, H, W)"
        if times.shape != (len(frames),):
            return f"{len(frames)} frames have time stamps of shape {tuple(times.shape)}"
        if not bool(times.isfinite().all()) or bool((times.diff() < 0).any()):
            return "time stamps have to be finite and must not fall"
        if self.scenes and len(self.scenes) != len(frames):
            return f"{len(frames)} frames have {len(self.scenes)} scenes"
        if isinstance(frames, Tensor) and any(scene.size != tuple(frames.shape[2:]) for scene in self.scenes):
            return f"a scene is of another size than the frames, {tuple(frames.shape[2:])}"
        if self.sound is not None and (self.sound.ndim != 2 or self.sound_rate <= 0):
            return "sound has to be (channels, samples), with its samples per second"
        if self.tags is not None and self.tag_classes is not None and self.tags.shape != (len(self.tag_classes),):
            return f"tags of shape {tuple(self.tags.shape)} have {len(self.tag_classes)} names"
        return None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frames)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        span = f", {self.times[0]:.2f} to {self.times[-1]:.2f} s" if len(self) else ""
        return f"Clip({len(self)} frames{span})"

    def with_(self, **changes: Any) -> "Clip":
        """Return a copy in which the named fields are replaced."""
        return replace(self, **changes)

    def pictures(self) -> Tensor:
        """Return (T, 3, H, W) uint8: all frames, read if they have to be."""
        return self.frames if isinstance(self.frames, Tensor) else torch.stack(list(self.frames))

    def __getitem__(self, index: slice | Sequence[int] | Tensor) -> "Clip":
        """Return some of the frames, with the sound from the first of them until the one after the last.

        Args:
            index: a slice, (M,) rising positions or (T,) bool; no frame is read.
        """
        positions = _positions(index, len(self))
        if not positions:
            return self._part(positions, 0.0, 0.0)
        first, after = positions[0], positions[-1] + 1
        # What sounds before the first frame of all belongs to it, as what sounds after the last one does.
        start = -math.inf if first == 0 else float(self.times[first])
        return self._part(positions, start, math.inf if after >= len(self) else float(self.times[after]))

    def between(self, start: float, end: float) -> "Clip":
        """Return the frames whose time stamps lie in [start, end), in seconds, and the sound of these seconds."""
        return self._part(((self.times >= start) & (self.times < end)).nonzero()[:, 0].tolist(), start, end)

    def _part(self, positions: list[int], start: float, end: float) -> "Clip":
        frames, chosen = self.frames, torch.tensor(positions, dtype=torch.int64)
        changes: dict[str, Any] = {
            "frames": frames[chosen] if isinstance(frames, Tensor) else _Part(frames, positions),
            "times": self.times[chosen],
            "scenes": tuple(self.scenes[i] for i in positions) if self.scenes else (),
        }
        if self.sound is not None:
            first, last = (self._sample(seconds) for seconds in (start, end))
            changes["sound"] = self.sound[:, first:last]
            changes["sound_start"] = self.sound_start + first / self.sound_rate
        return replace(self, **changes)

    def _sample(self, seconds: float) -> int:
        """Return the first sample at or after a time, between none and all of them."""
        assert self.sound is not None
        place = (seconds - self.sound_start) * self.sound_rate
        return math.ceil(min(max(place - 1e-6, 0.0), float(self.sound.shape[1])))

    def to_json(self) -> dict[str, Any]:
        """Return times, labels and scenes as plain values, without pictures and sound; see docs/json.md."""
        value: dict[str, Any] = {"path": self.source, "times": self.times.tolist()}
        if self.tags is not None:
            value["tags"] = tags_to_json(self.tags, self.tag_classes)
        if self.scenes:
            value["scenes"] = [scene.to_json() for scene in self.scenes]
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any], frames: Tensor | Sequence[Tensor], **vocabularies: Vocabulary) -> "Clip":
        """Read what `to_json` wrote.

        Args:
            value: the dictionary.
            frames: the pictures, which JSON does not hold.
            vocabularies: as for `Scene.from_json`; all scenes share them, and `tag_classes` names the clip's tags too.

        Raises:
            AnnotationError: the value does not follow the schema, or the frames do not fit it.
        """
        try:
            scenes, tags, classes = value.get("scenes", []), value.get("tags"), dict(vocabularies)
            if tags is not None:
                classes.setdefault("tag_classes", Vocabulary(tuple(tag["label"] for tag in tags)))
            of_scenes = interchange.vocabularies_of(scenes, vocabularies)
            return cls(
                frames,
                torch.tensor(value["times"], dtype=torch.float64),
                tuple(Scene.from_json(scene, **of_scenes) for scene in scenes),
                tags=None if tags is None else tags_from_json(tags, classes["tag_classes"]),
                source=value.get("path"),
                tag_classes=classes.get("tag_classes"),
            )
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            where = value.get("path") if isinstance(value, dict) else None
            raise AnnotationError(
                f"{where or 'JSON'}: does not follow the schema of a clip ({reason(error)})"
            ) from error


class _Part(Sequence[Tensor]):
    """Some frames of a sequence, which are still not read."""

    def __init__(self, frames: Sequence[Tensor], positions: Sequence[int]) -> None:
        self.frames = frames
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "_Part": ...

    def __getitem__(self, index: int | slice) -> "Tensor | _Part":
        if isinstance(index, slice):
            return _Part(self.frames, self.positions[index])
        return self.frames[self.positions[index]]


def _positions(index: slice | Sequence[int] | Tensor, count: int) -> list[int]:
    if isinstance(index, slice):
        return list(range(count)[index])
    if isinstance(index, Tensor) and index.dtype == torch.bool:
        index = torch.arange(count)[index]
    return [range(count)[int(i)] for i in index]
