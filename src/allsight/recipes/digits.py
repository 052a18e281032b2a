"""Distorted digits, read with and without spatial transformers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from allsight.data.made.digits import DigitSet
    from allsight.models.system import System
    from allsight.recipes.job import Job


@dataclass(frozen=True)
class Digits:
    """A small net on made pictures of MNIST's digits, seen through spatial transformers (Jaderberg et al. 2015).

    The digits are distorted anew each time that they are seen. The score is the share of the test digits, each
    distorted once, that are read rightly.

    Command: allsight train digits DATA --task rotated --transformers 1 --out runs/digits
    """

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A folder with MNIST's four files, or with others of their form."""
    task: Literal["plain", "rotated", "rts", "cluttered", "addition"] = "rotated"
    """rts: turned, scaled, shifted. cluttered: anywhere among pieces of others. addition: the sum of two turned."""
    transformers: int = 1
    """Side by side; 0 for a plain convolutional net."""
    form: Literal["attention", "affine", "projective", "thin_plate"] = "affine"
    """Of the maps that a transformer chooses from."""
    filters: int = 32
    """Of both convolutions of the classifier."""
    hidden: int = 256
    """Units between convolutions and classes; 0 for none, which sums of two digits do badly without."""
    pictures: int = 0
    """Learn from so many digits; 0 takes all."""
    epochs: int = 5
    """Times that the data are gone through."""
    batch_size: int = 64
    """Pictures a step."""
    learning_rate: float = 4e-3
    """Of the classifier (AdamW)."""
    localisation_rate: float = 0.3
    """Factor on the learning rate for the transformers, which easily run away."""
    weight_decay: float = 0.01
    """Of AdamW."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass in training; places are computed in float32 in any case."""
    seed: int = 0
    """Of initial weights, order and distortions."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; no influence on the result."""
    title: str = "Digits"
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "not stated"
    """Licence of the weights, which follows from the data's."""

    def build(self) -> "Job":
        """Put system, data, measure and schedule together."""
        import torch

        from allsight.data.formats.idx import read_idx
        from allsight.data.made.digits import TASKS, DigitSet
        from allsight.hub import Model, Preprocessing, Spec
        from allsight.recipes.card import card_of
        from allsight.recipes.job import Job, Stage
        from allsight.recipes.specs import vocabulary_spec
        from allsight.training import FitConfig, parameter_groups

        distortion = TASKS[self.task]
        learned, judged = read_idx(self.data, "train"), read_idx(self.data, "test")
        learned = learned.subset(range(self.pictures or len(learned)))
        train, test = (DigitSet(part, distortion, seed=seed) for part, seed in ((learned, self.seed), (judged, 0)))
        classes = vocabulary_spec(train.classes)
        size = {"size": distortion.size, "channels": distortion.digits}
        settings = {**size, "filters": self.filters, "hidden": self.hidden}
        spec = Spec("digit_net", {"classes": classes, "transformers": self.transformers, "form": self.form, **settings})
        system = spec.build()
        card = card_of(self, "tags", train.classes, learned, judged)
        model = Model(system, spec, Preprocessing(distortion.size, multiple=1, fill=(0, 0, 0)), card=card)

        def begin() -> "tuple[dict[str, torch.optim.Optimizer], FitConfig]":
            factors = {"transformers.": self.localisation_rate} if self.transformers else {}
            groups = parameter_groups(system, self.learning_rate, self.weight_decay, factors)
            config = FitConfig(
                epochs=self.epochs,
                batch_size=self.batch_size,
                precision=self.precision,
                clip_norm=1.0,
                warmup=100,
                seed=self.seed,
                evaluate_every=self.epochs,
                checkpoint_seconds=self.checkpoint_seconds,
            )
            return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

        return Job(
            model=model,
            learner=system,
            data=train,
            collate=train.collate,
            stages=[Stage("", begin)],
            evaluate=lambda learner: accuracy(learner, test),
        )


def accuracy(system: "System", digits: "DigitSet", batch_size: int = 500) -> dict[str, float]:
    """Return "top1", the share of made pictures that are read rightly, each as epoch 0 makes it."""
    right = 0
    for start in range(0, len(digits), batch_size):
        batch = digits.collate([digits[0, i] for i in range(start, min(start + batch_size, len(digits)))])
        said = system(batch.pictures).logits.argmax(1).tolist()
        truth = [int(scene.tags.argmax()) for scene in batch.scenes if scene.tags is not None]
        right += sum(map(int.__eq__, said, truth))
    return {"top1": right / len(digits)}
