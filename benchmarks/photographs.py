"""What more photographs do for `everyday`: the same training with 25, 50, 100 and all 208 of them.

    python benchmarks/photographs.py ../shared/data/coco256 ../shared/data/coco_mini --runs runs/photographs --json PATH

Every run makes the same number of steps, so that only the number of photographs differs; a run of few is a part of a
run of more. About ten minutes a run on one core. Started again with the same --runs it goes on where it stopped.
"""

import argparse
import json
from pathlib import Path

import torch

from allsight.files import write_json
from allsight.recipes.everyday import Everyday
from allsight.recipes.job import train
from machine import machine

COUNTS = (25, 50, 100, 200)


def main() -> None:
    """Train once for each number of photographs and print COCO's figures on the held-out ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/photographs"))
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for count in options.counts:
        per_epoch = max(1, count // Everyday.batch_size)
        epochs = round(options.steps / per_epoch)
        recipe = Everyday(
            data=tuple(options.data), photographs=count, epochs=epochs, evaluate_every=epochs, seed=options.seed
        )
        out = options.runs / str(count)
        scores = train(recipe, out, resume=(out / "recipe.json").exists(), say=lambda line: None)
        config = json.loads((out / "model" / "config.json").read_text())
        rows.append({"photographs": count, **scores, "duration": config["card"]["duration"]})
        print(f"{count:4} photographs: " + "  ".join(f"{k} {v:.4f}" for k, v in scores.items()), flush=True)
    if options.json:
        write_json(options.json, {"benchmark": "photographs", "machine": machine(), "rows": rows})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
