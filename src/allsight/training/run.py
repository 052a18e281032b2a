"""The state of one training, and what is done to it."""

import atexit
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer

from allsight.errors import TrainingError, WeightsError
from allsight.machine.memory import keep_freed_memory
from allsight.machine.processes import alone, leave
from allsight.machine.randomness import mix
from allsight.training.checkpoint import Checkpoints, load_weights
from allsight.training.config import FitConfig, FitResult
from allsight.training.ema import ExponentialMovingAverage
from allsight.training.interrupt import Interrupt
from allsight.training.loading import BatchLoader, TrainingData
from allsight.training.log import Log
from allsight.training.progress import ProgressBar
from allsight.training.sampler import EpochSampler
from allsight.training.schedule import scale_learning_rates, warmup_cosine
from allsight.training.step import TrainingStep
from allsight.training.update import Update

# these settings have no influence on the weights, so that a resumed run may change them
_FREE = {"workers", "log_every", "checkpoint_seconds", "tensorboard"}


@dataclass
class Position:
    """How far a run is: with weights, averages and optimisers, all that a checkpoint has to remember."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_step: int = 0
    scores: dict[str, float] = field(default_factory=dict)  # of the best evaluation, the deciding one first
    sums: dict[str, Tensor] = field(default_factory=dict)  # of the losses since the last line of the log
    summed: int = 0
    log_bytes: int = 0
    seconds: float = 0.0

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
    """Everything that belongs to one call of `fit`, whose arguments it takes."""

    def __init__(
        self,
        step: TrainingStep,
        optimizers: Mapping[str, Optimizer],
        data: TrainingData,
        config: FitConfig,
        out: Path,
        collate: Callable[[list], Any] | None,
        measure: Callable[[nn.Module], Mapping[str, float]] | None,
    ) -> None:
        accelerator = self.accelerator = join()
        if accelerator.device.type == "cpu":
            keep_freed_memory()
        self.leads, self.rank = accelerator.is_main_process, accelerator.process_index
        self.step, self.optimizers, self.config, self.out, self.measure = step, optimizers, config, out, measure
        self.at, self.files, self.interrupt = Position(), Checkpoints(out / "checkpoints"), Interrupt(self.leads)
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
        self.order_memory(torch.channels_last if config.channels_last else torch.contiguous_format)
        step.to(accelerator.device)  # accelerate moves no model twice, and an earlier stage has brought this one back
        model = accelerator.prepare_model(step.train())
        self.update = Update(model, optimizers, accelerator, config.precision, config.clip_norm)
        self.ema = None if config.ema_decay is None else ExponentialMovingAverage(step, config.ema_decay)
        self.begun = self.saved = self.lap = time.monotonic()
        self.lap_step = 0

    def order_memory(self, form: torch.memory_format) -> None:
        """Lay the weights of two-dimensional convolutions out in memory."""
        for parameter in self.step.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=form)

    def open_log(self) -> Log:
        """Open the log where the run goes on."""
        if self.leads:
            self.files.clear_leavings()
        self.log = Log(
            self.out,
            keep=self.at.log_bytes,
            step=self.at.step,
            tensorboard=self.config.tensorboard,
            enabled=self.leads,
        )
        return self.log

    def open_progress(self) -> ProgressBar:
        """Open what a person watches."""
        self.progress = ProgressBar(self.total, self.at.step, enabled=self.leads)
        return self.progress

    def advance(self, parts: list[Any]) -> None:
        """Make one step of the optimisers; write down and save what is due."""
        at, config = self.at, self.config
        self.seed(mix(config.seed, at.step, self.rank, 0))
        for optimizer in self.optimizers.values():
            scale_learning_rates(optimizer, warmup_cosine(at.step, self.total, config.warmup))
        losses = self.update(parts)
        if self.ema:
            self.ema.update()
        at.step, at.batch, at.summed = at.step + 1, at.batch + 1, at.summed + 1
        at.sums = {name: at.sums[name] + loss if name in at.sums else loss for name, loss in losses.items()}
        due = at.step % config.log_every == 0 or at.step == self.total
        self.progress.advance(self.write_losses() if due else None)
        self.save_if_due()

    def seed(self, seed: int) -> None:
        """Set what dropout and whatever else the step draws from."""
        if self.accelerator.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed formats a stack trace for each absent device
        else:
            torch.manual_seed(seed)

    def write_losses(self) -> str:
        """Write the mean losses since the last line of the log, and give them in short."""
        at = self.at
        self.update.finite.settle()
        means = dict(zip(at.sums, (torch.stack(list(at.sums.values())) / at.summed).tolist(), strict=True))
        loss, now = means.pop("loss"), time.monotonic()
        rate = (at.step - self.lap_step) * self.config.batch_size / max(now - self.lap, 1e-9)
        learning = {name: optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}
        line = {"step": at.step, "epoch": at.epoch, "loss": loss, "losses": means, "learning_rate": learning}
        self.log.write(line | {"pictures_per_second": round(rate, 2), "seconds": round(now - self.begun, 3)})
        at.sums, at.summed, self.lap, self.lap_step = {}, 0, now, at.step
        return f"epoch {at.epoch + 1}/{self.config.epochs}  loss {loss:.4g}  {rate:.1f} pictures/s"

    def averaged(self) -> Any:
        """The averaged weights while inside, if the run keeps any."""
        return self.ema.swapped_in() if self.ema else nullcontext()

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """Have the weights on the CPU while inside: that is where answers are given and measured."""
        tensors = [*self.step.parameters(), *self.step.buffers()]
        away = [tensor.data for tensor in tensors]  # optimisers and averages know these very storages
        try:
            for tensor in tensors:
                tensor.data = tensor.data.cpu()
            yield
        finally:
            for tensor, data in zip(tensors, away, strict=True):
                tensor.data = data

    def evaluate(self) -> dict[str, float]:
        """Measure the system if that is due at this epoch's end; the first process does, the others wait for what it
        says."""
        last = self.at.epoch + 1 == self.config.epochs
        if self.measure is None or not (last or (self.at.epoch + 1) % self.config.evaluate_every == 0):
            return {}
        self.update.finite.settle()
        before, scores = time.monotonic(), {}
        if self.leads:
            with alone(), self.averaged(), self.at_home(), torch.no_grad():
                scores = {name: float(score) for name, score in self.measure(self.step.eval().system).items()}
            self.step.train()
        self.lap += time.monotonic() - before
        return broadcast_object_list([scores])[0]

    def end_epoch(self, scores: dict[str, float]) -> None:
        """Write the scores down, keep the weights if they are the best, go on to the next epoch."""
        at = self.at
        if scores:
            seconds = round(time.monotonic() - self.begun, 3)
            self.log.write({"step": at.step, "epoch": at.epoch, "scores": scores, "seconds": seconds})
            text = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
            self.progress.say(f"epoch {at.epoch + 1}/{self.config.epochs}  {text}")
            score = next(iter(scores.values()))
            if isfinite(score) and (at.score is None or score > at.score):
                at.scores, at.best_step = scores, at.step
                with self.averaged():
                    if self.leads:
                        best = {"model": self.step.state_dict(), "step": at.step, "scores": scores}
                        self.files.save(self.files.best, best | {"config": asdict(self.config)})
        at.epoch, at.batch = at.epoch + 1, 0
        self.save_if_due()

    def save_if_due(self) -> None:
        """Save a checkpoint if the last one is old enough."""
        if time.monotonic() - self.saved >= self.config.checkpoint_seconds:
            self.save()

    def save(self) -> None:
        """Save everything that is needed to go on, unless the weights are no longer finite."""
        self.update.finite.settle()
        if self.leads:
            at = self.at
            at.log_bytes, at.seconds = self.log.size, time.monotonic() - self.begun
            self.files.save(
                self.files.last,
                {
                    "model": self.step.state_dict(),
                    "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
                    "ema": self.ema.state_dict() if self.ema else None,
                    "position": vars(at),
                    "config": asdict(self.config),
                    "examples": self.sampler.length,
                },
            )
        self.saved = time.monotonic()

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one.

        Raises:
            WeightsError: it is damaged, or of another model, other data or other settings.
        """
        path = self.files.last
        if not path.exists():
            return
        state = self.files.load(path)
        try:
            saved, now = (
                state["config"] | {"examples": state["examples"]},
                asdict(self.config) | {"examples": self.sampler.length},
            )
            changed = [name for name in now if name not in _FREE and now[name] != saved.get(name)]
            if changed:
                was = ", ".join(f"{name} was {saved.get(name)} and is {now[name]}" for name in changed)
                raise WeightsError(
                    f"{path}: the run had other settings ({was}); resume with the same, or choose another folder"
                )
            load_weights(self.step, state["model"], path)
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
            if self.ema:
                self.ema.load_state_dict(state["ema"])
            self.at = Position(**state["position"])
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"{path}: belongs to another way of training ({error}); choose another folder"
            ) from error
        self.at.sums = {name: total.to(self.accelerator.device) for name, total in self.at.sums.items()}
        self.begun, self.lap_step = time.monotonic() - self.at.seconds, self.at.step

    def finish(self) -> FitResult:
        """Give the step the weights that scored best, or the averaged ones where nothing was measured, on the CPU."""
        self.accelerator.wait_for_everyone()
        at = self.at
        if at.scores:
            load_weights(self.step, self.files.load(self.files.best)["model"], self.files.best)
        elif self.ema:
            self.ema.copy_into_module()
        self.step.cpu()
        self.order_memory(torch.contiguous_format)
        self.step.eval()
        return FitResult(at.step, at.score, at.best_step, at.scores, time.monotonic() - self.begun)
