"""Trainings under test run on the CPU, where equal bits are promised, whatever the machine has."""

import os
import sys
from pathlib import Path

os.environ["ACCELERATE_USE_CPU"] = "1"
sys.path.insert(0, str(Path(__file__).parent))  # for training_toy, however pytest imports the tests
