"""Clips: cut by position and by time, with their sound; frames that are read late; JSON; what is refused."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene import Clip, Scene, Vocabulary

RATE = 100


class Film(Sequence[Tensor]):
    """Pictures as bright as their number, that tell which of them were read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        self.read.append(index)
        return torch.full((3, 4, 6), range(self.count)[index], dtype=torch.uint8)


def clip(times: Sequence[float] = (0.0, 0.1, 0.2, 0.4, 0.5), *, film: Film | None = None) -> Clip:
    """Return a clip whose frames and samples of sound are numbers that tell where they come from."""
    count = len(times)
    frames = torch.arange(count, dtype=torch.uint8)[:, None, None, None].repeat(1, 3, 4, 6)
    return Clip(
        frames if film is None else film,
        torch.tensor(times),
        scenes=tuple(Scene((4, 6), boxes=torch.tensor([[0.0, 0, i + 1, 1]])) for i in range(count)),
        tags=torch.tensor([0.25, 0.75]),
        sound=torch.arange(60.0)[None],
        sound_rate=RATE,
        source="dive.mp4",
        tag_classes=Vocabulary(("jump", "dive")),
    )


def numbers(part: Clip) -> list[int]:
    """Return which frames of the whole a part has, by its pictures; its scenes have to be theirs."""
    pictures = part.pictures()[:, 0, 0, 0].tolist() if len(part) else []
    assert [int(scene.boxes[0, 2]) - 1 for scene in part.scenes] == pictures
    return pictures


@pytest.mark.parametrize(
    ("index", "frames", "samples"),
    [
        (slice(1, 3), [1, 2], range(10, 40)),
        (slice(None), [0, 1, 2, 3, 4], range(60)),
        (slice(-2, None), [3, 4], range(40, 60)),
        (slice(0, 4, 2), [0, 2], range(40)),
        ([1, 3], [1, 3], range(10, 50)),
        (torch.tensor([False, True, False, False, True]), [1, 4], range(10, 60)),
        (slice(3, 3), [], range(0)),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_parts_by_position_take_scenes_and_sound_along(
    index: Any, frames: list[int], samples: range, late: bool
) -> None:
    whole = clip(film=Film(5) if late else None)
    part = whole[index]
    assert numbers(part) == frames
    assert part.times.tolist() == whole.times[frames].tolist()
    assert part.sound[0].tolist() == list(samples)
    assert part.sound_start == pytest.approx(samples.start / RATE)
    assert (part.tags is whole.tags, part.source) == (True, "dive.mp4")


@given(st.lists(st.integers(0, 70), min_size=1, max_size=8), st.integers(0, 8), st.integers(-5, 20))
def test_two_parts_are_the_whole(stamps: list[int], cut: int, start: int) -> None:
    times = [stamp / RATE for stamp in sorted(stamps)]
    whole = clip(times).with_(sound_start=start / RATE)
    one, two = whole[:cut], whole[cut:]
    assert numbers(one) + numbers(two) == list(range(len(times)))
    assert torch.equal(torch.cat([one.sound, two.sound], dim=1), whole.sound)


@given(st.integers(-10, 80), st.integers(-10, 80))
def test_parts_by_time_are_what_lies_in_it(start: int, end: int) -> None:
    whole = clip()
    part = whole.between(start / RATE, end / RATE)
    assert numbers(part) == [i for i, t in enumerate((0, 10, 20, 40, 50)) if start <= t < end]
    assert part.sound[0].tolist() == [s for s in range(60) if start <= s < end]
    if part.sound.numel():
        assert round(part.sound_start * RATE) == part.sound[0, 0]
    again = part.between(0.15, 0.45)  # the part's times are those of the whole
    assert numbers(again) == [i for i, t in enumerate((0, 10, 20, 40, 50)) if max(start, 15) <= t < min(end, 45)]


def test_frames_are_read_when_they_are_asked_for() -> None:
    film = Film(5)
    part = clip(film=film)[1:].between(0.15, 1.0)[:2]
    assert film.read == []
    assert part.pictures()[:, 0, 0, 0].tolist() == film.read == [2, 3]


def test_json_there_and_back() -> None:
    whole = clip((0.0, 1 / 30, 2 / 30))
    names = iter(("cat", "owl", "cat"))
    scenes = tuple(
        scene.with_(labels=torch.tensor([0]), tracks=torch.tensor([7]), object_classes=Vocabulary((next(names),)))
        for scene in whole.scenes
    )
    value = json.loads(json.dumps(whole.with_(scenes=scenes).to_json()))
    assert value.keys() == {"path", "times", "tags", "scenes"}
    back = Clip.from_json(value, whole.frames)
    assert torch.equal(back.times, whole.times)
    assert back.tag_classes.names == ("dive", "jump")
    assert back.tags.tolist() == [0.75, 0.25]
    assert [scene.names() for scene in back.scenes] == [["cat"], ["owl"], ["cat"]]
    assert {scene.object_classes for scene in back.scenes} == {Vocabulary(("cat", "owl"))}
    assert [scene.tracks.tolist() for scene in back.scenes] == [[7]] * 3
    bare = Clip.from_json(json.loads(json.dumps(Clip(whole.frames, whole.times).to_json())), whole.frames)
    assert (bare.scenes, bare.tags, bare.source) == ((), None, None)


@pytest.mark.parametrize("value", [{}, {"times": "soon"}, {"times": [0.0], "scenes": [{}]}, None, []])
def test_broken_json_says_so(value: Any) -> None:
    with pytest.raises(AnnotationError, match="schema"):
        Clip.from_json(value, torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": torch.zeros(5, 3, 4, 6)}, "frames are torch.float32"),
        ({"frames": torch.zeros(5, 4, 6, 3, dtype=torch.uint8)}, r"not uint8 of \(T, 3, H, W\)"),
        ({"times": torch.zeros(4)}, "5 frames have time stamps"),
        ({"times": torch.tensor([0.0, 0.2, 0.1, 0.3, 0.4])}, "must not fall"),
        ({"times": torch.tensor([0.0, 0.2, torch.nan, 0.3, 0.4])}, "finite"),
        ({"scenes": (Scene((4, 6)),)}, "5 frames have 1 scenes"),
        ({"scenes": (Scene((6, 4)),) * 5}, "another size"),
        ({"sound_rate": 0}, "samples per second"),
        ({"tags": torch.zeros(3)}, "have 2 names"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=f"dive.mp4: .*{message}"):
        clip().with_(**change)


def test_frames_cannot_run_backwards() -> None:
    with pytest.raises(AnnotationError, match="must not fall"):
        clip()[[3, 1]]
