"""One training: what is computed step by step, and what goes on from where it stopped."""

import atexit
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer

from allsight.errors import TrainingError
from allsight.machine.layout import order_convolutions
from allsight.machine.memory import keep_freed_memory
from allsight.machine.processes import leave
from allsight.machine.randomness import mix, seed_device
from allsight.training.checkpoint import load_weights
from allsight.training.config import FitConfig, FitResult
from allsight.training.ema import ExponentialMovingAverage
from allsight.training.evaluation import Evaluation
from allsight.training.loading import BatchLoader, TrainingData
from allsight.training.record import Position, Record, Stateful
from allsight.training.sampler import EpochSampler
from allsight.training.schedule import scale_learning_rates, warmup_cosine
from allsight.training.step import TrainingStep
from allsight.training.update import Update, pair

# these settings have no influence on the weights, so that a resumed run may change them
_FREE = {"workers", "log_every", "checkpoint_seconds", "tensorboard"}


@dataclass
class FitPosition(Position):
    """How far a run is: with weights, averages, optimisers and state, all that a checkpoint has to remember."""

    epoch: int = 0
    batch: int = 0
    best_step: int = 0
    scores: dict[str, float] = field(default_factory=dict)  # of the best evaluation, the deciding one first
    sums: dict[str, Tensor] = field(default_factory=dict)  # of the losses since the last line of the log
    summed: int = 0

    @property
    def score(self) -> float | None:
        """The best score so far."""
        return next(iter(self.scores.values()), None)


def join() -> Accelerator:
    """Take up the device, and the company of the other processes that torchrun started.

    Raises:
        TrainingError: there are several processes, on a device that cannot be shared.
    """
    # a batch may leave a head without loss, if nothing is annotated for it
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="no", kwargs_handlers=[unused])
    if accelerator.num_processes != int(os.environ.get("WORLD_SIZE", 1)):
        raise TrainingError(
            f"{accelerator.device}: takes one process only; start without torchrun or set ACCELERATE_USE_CPU=1"
        )
    atexit.register(leave)
    return accelerator


class Run:
    """What is computed in one call of `fit`, whose arguments it takes; its `record` writes it down."""

    def __init__(
        self,
        step: TrainingStep,
        optimizers: Mapping[str, Optimizer],
        data: TrainingData,
        config: FitConfig,
        out: Path,
        collate: Callable[[list], Any] | None,
        evaluation: Evaluation | None,
        state: Mapping[str, Stateful],
    ) -> None:
        turns = pair(step.turns, optimizers)
        accelerator = self.accelerator = join()
        if accelerator.device.type == "cpu":
            keep_freed_memory()
        self.step, self.optimizers, self.config, self.state = step, optimizers, config, state
        self.evaluation, self.rank = evaluation, accelerator.process_index
        self.sampler = EpochSampler(
            len(data),
            config.batch_size,
            seed=config.seed,
            rank=self.rank,
            ranks=accelerator.num_processes,
            accumulate=config.accumulate,
        )
        self.total = config.epochs * self.sampler.batches
        self.loader = BatchLoader(data, self.sampler, collate, config.workers, accelerator.device.type == "cuda")
        order_convolutions(self.step, torch.channels_last if config.channels_last else torch.contiguous_format)
        step.to(accelerator.device)  # accelerate moves no model twice, and an earlier stage has brought this one back
        model = accelerator.prepare_model(step.train())
        self.update = Update(model, turns, accelerator, config.precision, config.clip_norm)
        self.ema = None if config.ema_decay is None else ExponentialMovingAverage(step, config.ema_decay)
        self.record = Record(
            out,
            FitPosition(),
            self.total,
            checkpoint_seconds=config.checkpoint_seconds,
            tensorboard=config.tensorboard,
            leads=accelerator.is_main_process,
        )

    @property
    def at(self) -> FitPosition:
        """How far the run is."""
        return self.record.at

    def advance(self, parts: list[Any]) -> None:
        """Take every turn on one batch; write down and save what is due."""
        at, config = self.at, self.config
        seed_device(self.accelerator.device, mix(config.seed, at.step, self.rank, 0))
        for optimizer in self.optimizers.values():
            scale_learning_rates(optimizer, warmup_cosine(at.step, self.total, config.warmup))
        losses = self.update(parts)
        with torch.no_grad():
            self.step.after()
        if self.ema:
            self.ema.update()
        at.step, at.batch, at.summed = at.step + 1, at.batch + 1, at.summed + 1
        at.sums = {name: at.sums[name] + loss if name in at.sums else loss for name, loss in losses.items()}
        due = at.step % config.log_every == 0 or at.step == self.total
        self.record.progress.advance(self.write_losses() if due else None)
        self.save_if_due()

    def write_losses(self) -> str:
        """Write the mean losses since the last line of the log, and give them in short."""
        at = self.at
        self.update.finite.settle()
        means = dict(zip(at.sums, (torch.stack(list(at.sums.values())) / at.summed).tolist(), strict=True))
        loss, rate = means.pop("loss"), self.record.rate() * self.config.batch_size
        learning = {name: optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}
        line = {"epoch": at.epoch, "loss": loss, "losses": means, "learning_rate": learning}
        self.record.write(line | {"examples_per_second": round(rate, 2)})
        at.sums, at.summed = {}, 0
        return f"epoch {at.epoch + 1}/{self.config.epochs}  loss {loss:.4g}  {rate:.1f} examples/s"

    def averaged(self) -> Any:
        """The averaged weights while inside, if the run keeps any."""
        return self.ema.swapped_in() if self.ema else nullcontext()

    def evaluate(self) -> dict[str, float]:
        """Measure the system if that is due at this epoch's end; the first process does, the others wait for what it
        says."""
        last = self.at.epoch + 1 == self.config.epochs
        if self.evaluation is None or not (last or (self.at.epoch + 1) % self.config.evaluate_every == 0):
            return {}
        self.update.finite.settle()
        scores: dict[str, float] = {}
        with self.record.pause():
            if self.record.leads:
                with self.averaged():
                    scores = self.evaluation(self.step)
        return broadcast_object_list([scores])[0]

    def end_epoch(self, scores: dict[str, float]) -> None:
        """Write the scores down, keep the weights if they are the best, go on to the next epoch."""
        at = self.at
        if scores and self.evaluation:
            self.record.write({"epoch": at.epoch, "scores": scores})
            text = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
            self.record.progress.say(f"epoch {at.epoch + 1}/{self.config.epochs}  {text}")
            if self.evaluation.improves(next(iter(scores.values())), at.score):
                at.scores, at.best_step = scores, at.step
                with self.averaged():
                    best = {"model": self.step.state_dict(), "step": at.step, "scores": scores}
                    self.record.save_best(best | {"config": asdict(self.config)})
        at.epoch, at.batch = at.epoch + 1, 0
        self.save_if_due()

    def save_if_due(self) -> None:
        """Save a checkpoint if the last one is old enough."""
        self.record.save_if_due(self.contents)

    def save(self) -> None:
        """Save a checkpoint now."""
        self.record.save(self.contents)

    def contents(self) -> dict[str, Any]:
        """Give everything that is needed to go on, unless the weights are no longer finite."""
        self.update.finite.settle()
        return {
            "model": self.step.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "ema": self.ema.state_dict() if self.ema else None,
            "state": {name: thing.state_dict() for name, thing in self.state.items()},
            "config": asdict(self.config),
            "examples": self.sampler.length,
            "best": self.evaluation.best if self.evaluation else "highest",
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take back what `contents` gave."""
        before = {"best": "highest", "state": {}} | saved  # an earlier version saved neither
        now = self.contents()
        self.record.refuse_changes(_settings(before), _settings(now))
        load_weights(self.step, saved["model"], self.record.files.last)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
        if self.ema:
            self.ema.load_state_dict(saved["ema"])
        for name, thing in self.state.items():
            if isinstance(thing, nn.Module):
                load_weights(thing, saved["state"][name], self.record.files.last)
            else:
                thing.load_state_dict(saved["state"][name])
        sums = saved["position"]["sums"]
        saved["position"]["sums"] = {name: total.to(self.accelerator.device) for name, total in sums.items()}

    def finish(self) -> FitResult:
        """Give the step the weights that scored best, or the averaged ones where nothing was measured, on the CPU."""
        self.accelerator.wait_for_everyone()
        at, files = self.at, self.record.files
        if at.scores:
            load_weights(self.step, files.load(files.best)["model"], files.best)
        elif self.ema:
            self.ema.copy_into_module()
        self.step.cpu()
        order_convolutions(self.step, torch.contiguous_format)
        self.step.eval()
        return FitResult(at.step, at.score, at.best_step, at.scores, self.record.seconds)


def _settings(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a run may not change when it is resumed, as a message names it."""
    names = {kind: ", ".join(sorted(contents[kind])) or "nothing" for kind in ("optimizers", "state")}
    fixed = {name: value for name, value in contents["config"].items() if name not in _FREE}
    return fixed | {"examples": contents["examples"], "best": contents["best"]} | names
