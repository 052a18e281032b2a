"""What more photographs do for the boxes of `everyday`: the same training with 25, 50, 100 and 200 of them.

    python benchmarks/photographs.py ../shared/data/coco256 ../shared/data/coco_mini --runs runs/photographs --json PATH

Features of the frozen trunk are cached, every run makes the same number of steps, and each number is drawn several
times. A draw of few is a part of a draw of more. Started again with the same --runs it goes on where it stopped.
"""

import argparse
import json
from pathlib import Path

import torch

from allsight.files import write_json
from allsight.recipes.run import train
from allsight.recipes.whole.everyday import Everyday
from machine import machine

COUNTS = (25, 50, 100, 200)


def main() -> None:
    """Train once for each number of photographs and print COCO's figures on the held-out ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/photographs"))
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--resamples", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for count in options.counts:
        recipe = Everyday(
            data=tuple(options.data),
            parts=("tags", "objects"),
            frozen=True,
            frozen_batch=4,
            frozen_rate=1e-2,
            frozen_scale=(0.8, 1.25),
            views=8,
            shots=count,
            resamples=options.resamples,
            steps=options.steps,
            epochs=1,
        )
        out = options.runs / str(count)
        train(recipe, out, resume=(out / "recipe.json").exists(), say=lambda line: None)
        found = json.loads((out / "resamples.json").read_text())
        scores = {name: f"{found['mean'][name]:.3f} ± {found['interval95'][name]:.3f}" for name in ("AP50", "AP")}
        rows.append({"photographs": count, **scores, "draws": options.resamples})
        print(f"{count:4} photographs: " + "  ".join(f"{k} {v}" for k, v in scores.items()), flush=True)
    if options.json:
        write_json(options.json, {"benchmark": "photographs", "machine": machine(), "rows": rows})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
