"""Moving pictures: whether a dot goes left or right, which no single frame tells. Weights of three, four, five axes."""

from pathlib import Path

import torch
from probe import Around, assert_goes_on_as_if_unbroken, saved_and_loaded, whole
from torch import Tensor, nn

from allsight.models.system import System
from allsight.training import FitConfig, Key, TrainingStep, fit, generator

SIDE, FRAMES = 12, 4


class Mover(System):
    """From clips (B, T, C, H, W) uint8 to logits (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frame = nn.Conv2d(3, 8, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, 8, SIDE, SIDE))
        self.motion = nn.Conv3d(8, 16, 3, padding=1)
        self.head = nn.Linear(16, 2)

    def forward(self, clips: Tensor) -> Tensor:
        frames = self.frame(clips.flatten(0, 1) / 255.0) + self.place
        maps = frames.relu().unflatten(0, clips.shape[:2]).transpose(1, 2)
        return self.head(self.motion(maps).relu().amax((2, 3, 4)))

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"way": nn.functional.cross_entropy(self(batch["clip"]), batch["way"])}


class Dots:
    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return 32

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        numbers = generator(self.seed, *key)
        way = int(torch.randint(2, (), generator=numbers))
        row, column = torch.randint(SIDE, (2,), generator=numbers).tolist()
        clip = torch.zeros(FRAMES, 3, SIDE, SIDE, dtype=torch.uint8)
        for time in range(FRAMES):
            clip[time, :, row, (column + (2 * way - 1) * time) % SIDE] = 255
        return {"clip": clip, "way": torch.tensor(way)}


def accuracy(system: nn.Module) -> dict[str, float]:
    examples = [Dots(seed=1)[Key(0, index)] for index in range(64)]
    answers = system(torch.stack([example["clip"] for example in examples])).argmax(1)
    return {"accuracy": float((answers == torch.stack([example["way"] for example in examples])).float().mean())}


def train(out: Path, *, resume: bool = False, around: Around = whole, **seldom: float) -> Mover:
    mover = Mover()
    fit(
        TrainingStep(mover),
        {"adam": torch.optim.Adam(mover.parameters(), lr=0.02)},
        around(Dots()),
        config=FitConfig(epochs=15, batch_size=8, log_every=3, **seldom, channels_last=True),
        out=out,
        evaluate=accuracy,
        resume=resume,
    )
    return mover


def test_clips_that_differ_in_motion_alone(tmp_path: Path) -> None:
    mover = assert_goes_on_as_if_unbroken(train, tmp_path)
    again = saved_and_loaded(mover, tmp_path / "mover")
    with torch.no_grad():
        assert accuracy(again) == accuracy(mover)
        assert accuracy(again)["accuracy"] > 0.95
        assert accuracy(Mover())["accuracy"] < 0.7
