"""How long, how large and how often systems train that answer for places, as their settings say."""

from allsight.recipes.common.settings import DenseSettings
from allsight.training import FitConfig

LONGEST_WARMUP = 200  # steps
LONGEST_GRADIENT = 10.0


def fit_config(recipe: DenseSettings, pictures: int, *, epochs: int, batch_size: int) -> FitConfig:
    """Return how long, how large and how often one stage trains.

    The rate rises through a tenth of all steps, at most 200 of them. With few labels there are more epochs, see
    `FewLabels.epochs_of`, and one evaluation, at the end.

    Args:
        recipe: its settings. pictures: how many there are to learn from.
        epochs: of this stage, as the settings have it. batch_size: pictures a step.
    """
    steps = max(1, pictures // batch_size)
    times = recipe.epochs_of(epochs, steps)
    return FitConfig(
        epochs=times,
        batch_size=batch_size,
        precision=recipe.precision,
        clip_norm=LONGEST_GRADIENT,
        warmup=min(LONGEST_WARMUP, steps * times // 10),
        ema_decay=recipe.ema_decay,
        seed=recipe.seed,
        evaluate_every=times if recipe.few else recipe.evaluate_every,
        checkpoint_seconds=recipe.checkpoint_seconds,
    )
