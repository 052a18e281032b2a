"""A training step: our loop against a plain one, with the same system, batch, optimiser and order in memory.

Run it with `python benchmarks/training_step.py [--json PATH] [--quick]`. The pictures are made beforehand, so that only
the loop is compared: in ours, what it does besides (log, finite losses, schedule, averaged weights, checkpoints).
"""

import itertools
import tempfile
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.freezing import freeze
from allsight.data.pictures.loading import Batch, Sample, collate
from allsight.models.detection.retinanet import retinanet_narrow
from allsight.scene import Frame, Scene, Vocabulary
from allsight.training import FitConfig, Key, TrainingStep, fit, parameter_groups
from timing import Rows, arguments, line, report

SIZE, BATCH = (288, 384), 8
CLASSES = Vocabulary(("red", "white", "platelet"))


class Clocked(TrainingStep):
    """A step that remembers when it was called."""

    def __init__(self, system: torch.nn.Module) -> None:
        super().__init__(system)
        self.called: list[float] = []

    def forward(self, batch: Any, turn: str) -> dict[str, Tensor]:
        """Return the losses."""
        self.called.append(time.perf_counter())
        return super().forward(batch, turn)

    def milliseconds(self, warm_up: int) -> float:
        """Return the median time from one step to the next."""
        return 1000 * float(np.median(np.diff(self.called[warm_up:])))


class Made:
    """Pictures of noise with ten boxes each, ready in memory."""

    def __init__(self, count: int) -> None:
        numbers = np.random.default_rng(0)
        self.samples = []
        for i in range(count):
            low = numbers.uniform(0, 180, (10, 2))
            boxes = np.concatenate([low, low + numbers.uniform(20, 100, (10, 2))], axis=1)
            labels = torch.from_numpy(numbers.integers(0, 3, 10))
            scene = Scene(SIZE, boxes=torch.from_numpy(boxes).float(), labels=labels, object_classes=CLASSES)
            picture = torch.from_numpy(numbers.integers(0, 256, (3, *SIZE), dtype=np.uint8))
            self.samples.append(Sample(picture, scene, f"made {i}", Frame.whole(SIZE)))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Sample:
        return self.samples[key.index]


def begin(frozen: bool) -> tuple[Clocked, torch.optim.Optimizer]:
    torch.manual_seed(0)
    system = retinanet_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES)
    freeze(system.trunk, "c5" if frozen else "c2")
    return Clocked(system), torch.optim.AdamW(parameter_groups(system, 1e-4, 0.02))


def ours(data: Made, steps: int, precision: str, frozen: bool, warm_up: int) -> float:
    step, optimizer = begin(frozen)
    epochs = -(-steps * BATCH // len(data))
    config = FitConfig(epochs=epochs, batch_size=BATCH, precision=precision, clip_norm=10.0, ema_decay=0.99)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        fit(step, {"adamw": optimizer}, data, config=config, out=folder, collate=collate)
    return step.milliseconds(warm_up)


def plain(data: Made, steps: int, precision: str, frozen: bool, warm_up: int) -> float:
    """The loop that one would write down first."""
    step, optimizer = begin(frozen)
    step.train().to(memory_format=torch.channels_last)
    batches: list[Batch] = [collate(data.samples[i : i + BATCH]) for i in range(0, len(data), BATCH)]
    for batch in itertools.islice(itertools.cycle(batches), steps):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            losses = step(batch, "all")
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), 10.0)
        optimizer.step()
    return step.milliseconds(warm_up)


def headline(rows: Rows) -> Rows:
    """Return the slowest step and the fastest."""
    chosen = (("float32", "trained from c3 on"), ("bfloat16", "frozen"))
    return [
        line(
            f"{BATCH} pictures, trunk {r['trunk']}, {r['precision']}",
            r["allsight_ms"],
            "plain loop",
            r["plain_ms"],
            "ms",
        )
        for r in rows
        if (r["precision"], r["trunk"]) in chosen
    ]


def main() -> None:
    given = arguments(__doc__ or "")
    steps, warm_up, rounds = (4, 1, 1) if given.quick else (24, 4, 3)
    data = Made(2 * BATCH if given.quick else 8 * BATCH)
    rows = []
    for precision, frozen in itertools.product(("float32", "bfloat16"), (False, True)):
        # The arms take turns, so that whatever else the machine does disturbs both alike.
        turns = [
            (ours(data, steps, precision, frozen, warm_up), plain(data, steps, precision, frozen, warm_up))
            for _ in range(rounds)
        ]
        mine, theirs = (float(value) for value in np.median(turns, axis=0))
        rows.append(
            {
                "precision": precision,
                "trunk": "frozen" if frozen else "trained from c3 on",
                "allsight_ms": mine,
                "plain_ms": theirs,
                "ratio": mine / theirs,
                "allsight_pictures_per_second": 1000 * BATCH / mine,
            }
        )
    report("training_step", rows, given.json, headline)


if __name__ == "__main__":
    main()
