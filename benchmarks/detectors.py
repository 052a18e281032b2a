"""The detectors side by side: held-out score, size, and milliseconds a picture in every runtime.

    python benchmarks/detectors.py cells runs/faster runs/windows --data ../shared/data/bccd --json PATH

Names of shipped models, or folders of trainings; their scores stand on their cards. Times are those of one thread, from
a prepared picture to boxes in its own pixels, for the first held-out pictures of the data.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from allsight import hub
from allsight.data.formats.catalogue import open_dataset
from allsight.predict import Predictor
from arms import runtimes_of
from timing import Rows, cpu_milliseconds, line, report

LOOKED_AT = 8


def headline(rows: Rows) -> Rows:
    """Return for each detector its fastest runtime against eager float32."""
    lines = []
    for row in rows:
        fastest = min(row["ms"], key=row["ms"].__getitem__)
        lines.append(
            line(f"{row['detector']}, {fastest}", row["ms"][fastest], "torch float32", row["ms"]["torch float32"], "ms")
        )
    return lines


def measure(name: str, data: Path) -> dict[str, Any]:
    """Return the row of one model."""
    model = hub.load(name)
    folder, _ = hub.read_config(name)
    pictures = [example.picture() for example in open_dataset(data, "val")][:LOOKED_AT]
    with tempfile.TemporaryDirectory() as there:
        times = {}
        for arm, runtime in runtimes_of(model, Path(there, "model.onnx")).items():
            see = Predictor(model, runtime=runtime)
            ready = [see.prepare(picture) for picture in pictures]
            times[arm] = cpu_milliseconds(lambda i, see=see, ready=ready: see.scene_of(*ready[i]), len(ready))
    return {
        "detector": model.spec.builder,
        "AP50": model.card["scores"]["AP50"],
        "AP": model.card["scores"]["AP"],
        "MB": sum(path.stat().st_size for path in folder.iterdir()) / 1e6,
        "ms": times,
    }


def main() -> None:
    """Print a row a detector, and write all as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bccd"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report("detectors", [measure(name, options.data) for name in options.models], options.json, headline)


if __name__ == "__main__":
    main()
