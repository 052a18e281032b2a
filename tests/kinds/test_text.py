"""A sequence: characters, one after the other, by a recurrent net. Judged by an error, the lowest being the best."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch
from probe import Around, assert_goes_on_as_if_unbroken, saved_and_loaded, whole
from torch import Tensor, nn

from allsight.models.system import System
from allsight.training import FitConfig, Key, TrainingStep, fit, generator

TEXT = "she sells sea shells by the sea shore; " * 40
LETTERS = sorted(set(TEXT))
CODES = torch.tensor([LETTERS.index(letter) for letter in TEXT])
LENGTH = 40


class Reader(System):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(len(LETTERS), 16)
        self.gru = nn.GRU(16, 32, batch_first=True)
        self.head = nn.Linear(32, len(LETTERS))

    def forward(self, codes: Tensor) -> Tensor:
        return self.head(self.gru(self.embed(codes))[0])

    def loss(self, codes: Tensor) -> dict[str, Tensor]:
        return {"next": nn.functional.cross_entropy(self(codes[:, :-1]).flatten(0, 1), codes[:, 1:].flatten())}


class Windows:
    def __len__(self) -> int:
        return 64

    def __getitem__(self, key: Key) -> Tensor:
        start = int(torch.randint(len(CODES) - LENGTH, (), generator=generator(0, *key)))
        return CODES[start : start + LENGTH]


def train(out: Path, *, resume: bool = False, around: Around = whole, **seldom: float) -> Reader:
    reader = Reader()
    fit(
        TrainingStep(reader),
        {"adam": torch.optim.Adam(reader.parameters(), lr=0.02)},
        around(Windows()),
        config=FitConfig(epochs=10, batch_size=8, clip_norm=1.0, log_every=3, **seldom),
        out=out,
        evaluate=lambda system: {"nats": float(system.loss(CODES[None, :200])["next"])},
        best="lowest",
        resume=resume,
    )
    return reader


def test_a_reader_of_characters(tmp_path: Path) -> None:
    reader = assert_goes_on_as_if_unbroken(train, tmp_path)
    pairs, singles = Counter(pairwise(TEXT)), Counter(TEXT[:-1])
    bigrams = -sum(n * math.log(n / singles[one]) for (one, _), n in pairs.items()) / pairs.total()
    again = saved_and_loaded(reader, tmp_path / "reader")
    with torch.no_grad():
        assert float(again.loss(CODES[None, :200])["next"]) < 0.5 * bigrams  # so it remembers more than a letter
        assert torch.equal(again(CODES[None, :50]), reader(CODES[None, :50]))
        codes = CODES[None, :45]
        for _ in range(40):
            codes = torch.cat([codes, again(codes)[:, -1:].argmax(-1)], dim=1)
    assert "".join(LETTERS[code] for code in codes[0]) == TEXT[:85]
