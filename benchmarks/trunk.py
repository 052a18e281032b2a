"""EfficientNet-Lite0 by runtime: one picture of 320 x 320 from pixels to the trunk's last map.

Run it with `python benchmarks/trunk.py [--json PATH] [--quick]`. The peer is eager PyTorch in float32, in torch's own
layout. `ms` (on the clock) and `cpu_ms` are for one picture after another on one core; `per_second` is what as many
threads as there are cores get done, a picture each.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.trunk import Trunk
from allsight.data.inputs import PictureInputs
from allsight.hub import Model, Spec
from allsight.models.system import Answering
from allsight.predict.runtimes import Runtime, cores
from allsight.scene import Frame, Scene
from arms import runtimes_of
from timing import Rows, arguments, cpu_milliseconds, line, milliseconds, report

SIDE = 320


class TrunkOutputs(NamedTuple):
    """The last map, (B, 1280, h, w)."""

    head: Tensor


class Bare(Answering[Frame, Scene]):
    """A trunk by itself."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, pictures: Tensor) -> TrunkOutputs:
        """Return the last map."""
        return TrunkOutputs(self.trunk(pictures, ("head",))["head"])

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Return nothing: there is nothing to learn."""
        return {}

    def decode(self, outputs: TrunkOutputs, places: Sequence[Frame]) -> list[Scene]:
        """Return empty Scenes."""
        return [Scene(frame.original) for frame in places]


def together(run: Callable[[Tensor], Any], pictures: Tensor, count: int) -> float:
    """Return pictures per second of as many threads as there are cores."""
    with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(run, [pictures] * 2 * cores()))
        start = time.perf_counter()
        list(pool.map(run, [pictures] * count))
        return count / (time.perf_counter() - start)


def headline(rows: Rows) -> Rows:
    """Return the fastest of all and the fastest in float32."""
    exact = [row for row in rows if row["runtime"].endswith("float32")]
    best = [min(some, key=lambda row: row["ms"]) for some in (rows, exact)]
    return [
        line(f"picture of {SIDE}x{SIDE}, {b['runtime']}", b["ms"], "eager float32", rows[0]["ms"], "ms") for b in best
    ]


def main() -> None:
    given = arguments(__doc__ or "")
    repeats = 3 if given.quick else 25
    torch.manual_seed(0)
    system = Bare(efficientnet_lite0().cut("head")).eval()
    model = Model(system, Spec("efficientnet_lite0"), PictureInputs(SIDE), name="trunk")
    pictures = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    eager: Runtime = torch.inference_mode()(system)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        arms = {"eager float32": eager, **runtimes_of(model, Path(folder, "trunk.onnx"))}
        torch.set_num_threads(1)
        times = milliseconds(*(lambda run=run: run(pictures) for run in arms.values()), repeats=repeats)
        rows = [
            {
                "runtime": name,
                "ms": ms,
                "cpu_ms": cpu_milliseconds(lambda _, run=run: run(pictures), repeats),
                "per_second": together(run, pictures, 8 * repeats),
                "ratio": times[0] / ms,
            }
            for (name, run), ms in zip(arms.items(), times, strict=True)
        ]
        torch.set_num_threads(threads)
    report("trunk", rows, given.json, headline)


if __name__ == "__main__":
    main()
