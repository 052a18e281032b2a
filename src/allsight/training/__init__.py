"""The loop that every system is trained with."""

from allsight.machine.randomness import generator, mix
from allsight.training.config import FitConfig, FitResult
from allsight.training.ema import ExponentialMovingAverage
from allsight.training.loading import TrainingData
from allsight.training.log import read_log
from allsight.training.loop import fit
from allsight.training.record import Position, Record, Stateful
from allsight.training.sampler import EpochSampler, Key
from allsight.training.schedule import warmup_cosine
from allsight.training.step import TrainingStep, parameter_groups

__all__ = [
    "EpochSampler",
    "ExponentialMovingAverage",
    "FitConfig",
    "FitResult",
    "Key",
    "Position",
    "Record",
    "Stateful",
    "TrainingData",
    "TrainingStep",
    "fit",
    "generator",
    "mix",
    "parameter_groups",
    "read_log",
    "warmup_cosine",
]
