"""The smallest systems that take no pictures, each with one line for its inputs in the table: characters and clips."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.errors import AnnotationError, PictureError
from allsight.hub import Model, Spec
from allsight.models.system import Answering
from allsight.scene import Clip, Vocabulary
from allsight.systems import INPUTS, SYSTEMS

ALPHABET = "abc "


@dataclass(frozen=True)
class CharacterInputs:
    """Texts as the numbers of their characters, (T,) int64; the place of an answer is the text itself."""

    kind: ClassVar[str] = "characters"
    alphabet: str

    def prepare(self, raw: str) -> tuple[Tensor, str]:
        if not isinstance(raw, str) or not raw or set(raw) - set(self.alphabet):
            raise AnnotationError(f"{raw!r}: is no text of the characters {self.alphabet!r}")
        return torch.tensor([self.alphabet.index(each) for each in raw]), raw


class CharacterOutputs(NamedTuple):
    """Logits (B, T, characters) of what follows each character."""

    logits: Tensor


class CharacterGRU(Answering[str, str]):
    """Goes on with a text by the most probable character."""

    def __init__(self, alphabet: str, width: int = 16) -> None:
        super().__init__()
        self.alphabet = alphabet
        self.embedding = nn.Embedding(len(alphabet), width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.last = nn.Linear(width, len(alphabet))

    def forward(self, inputs: Tensor) -> CharacterOutputs:
        return CharacterOutputs(self.last(self.memory(self.embedding(inputs))[0]))

    def loss(self, batch: Tensor) -> dict[str, Tensor]:
        logits = self(batch[:, :-1]).logits
        return {"next": F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())}

    def decode(self, outputs: CharacterOutputs, places: Sequence[str]) -> list[str]:
        best = outputs.logits[:, -1].argmax(-1).tolist()
        return [text + self.alphabet[i] for text, i in zip(places, best, strict=True)]


@dataclass(frozen=True)
class UniformFrames:
    """Clips as some frames, evenly apart: (T, 3, H, W) uint8; the place of an answer is the clip itself."""

    kind: ClassVar[str] = "clips"
    frames: int
    classes: Vocabulary

    def prepare(self, raw: Clip) -> tuple[Tensor, Clip]:
        if not isinstance(raw, Clip):
            raise PictureError(f"{type(raw).__name__}: is no clip")
        which = torch.linspace(0, len(raw.frames) - 1, self.frames).round().long()
        return raw.frames[which], raw


class ClipOutputs(NamedTuple):
    """Logits (B, 2): darker, brighter; and what came in, for the tests."""

    logits: Tensor
    clips: Tensor


class Brightening(Answering[Clip, Clip]):
    """Tells whether clips grow brighter, by a convolution over time."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.over_time = nn.Conv3d(3, 2, (frames, 1, 1))
        with torch.no_grad():
            self.over_time.weight.zero_()
            self.over_time.bias.zero_()
            self.over_time.weight[1, :, -1], self.over_time.weight[1, :, 0] = 1.0, -1.0

    def forward(self, inputs: Tensor) -> ClipOutputs:
        return ClipOutputs(self.over_time(inputs.transpose(1, 2) / 255).mean((2, 3, 4)), inputs)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"tags": F.cross_entropy(self(batch[0]).logits, batch[1])}

    def decode(self, outputs: ClipOutputs, places: Sequence[Clip]) -> list[Clip]:
        return [replace(clip, tags=row) for clip, row in zip(places, outputs.logits.softmax(1), strict=True)]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the table that these systems take."""
    monkeypatch.setitem(INPUTS, "characters", f"{__name__}:CharacterInputs")
    monkeypatch.setitem(INPUTS, "uniform_frames", f"{__name__}:UniformFrames")
    monkeypatch.setitem(SYSTEMS, "character_gru", f"{__name__}:CharacterGRU")
    monkeypatch.setitem(SYSTEMS, "brightening", f"{__name__}:Brightening")


def character_model() -> Model:
    """Return one that does not know yet what follows."""
    torch.manual_seed(0)
    spec = Spec("character_gru", {"alphabet": ALPHABET})
    return Model(spec.build(), spec, CharacterInputs(ALPHABET), display=None, name="reader")


def clip_model(frames: int) -> Model:
    """Return one that knows what it has to know."""
    spec = Spec("brightening", {"frames": frames})
    inputs = UniformFrames(frames, Vocabulary(("darker", "brighter")))
    return Model(spec.build().eval(), spec, inputs, display=None, name="watcher")
