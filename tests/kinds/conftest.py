"""Probes run on the CPU, where equal bits are promised, and stand on the helpers of the training's tests."""

import os
import sys
from pathlib import Path

os.environ["ACCELERATE_USE_CPU"] = "1"
for folder in (Path(__file__).parent, Path(__file__).parents[1] / "training"):
    sys.path.insert(0, str(folder))
