"""`Predictor`: a model that takes pictures of any size and answers in their own pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allsight.data.pictures import letterbox, read_picture
from allsight.errors import PictureError
from allsight.hub import Model
from allsight.hub import load as load_model
from allsight.predict.runtimes import Precision, Runtime, RuntimeName, open_runtime
from allsight.scene import Frame, Scene

DEFAULT_THRESHOLD = 0.3


class Predictor:
    """A model with its preprocessing, its display thresholds and what computes it.

    Pictures are computed one by one: in float32 eight together take 1.4 times as long each, because what lies between
    two layers no longer fits into the cache. Several at a time are for threads; see `allsight.predict.stream.in_order`.

    Args:
        model: what to ask.
        threshold: shows objects from this score on; by default each class's own from the model's configuration.
        runtime: computes the model's raw outputs; by default torch.
        precision: of that torch.
    """

    def __init__(
        self,
        model: Model,
        *,
        threshold: float | None = None,
        precision: Precision = "float32",
        runtime: Runtime | None = None,
    ) -> None:
        self.model = model
        self.system = model.system.eval()
        self.threshold = threshold
        self.runtime = runtime or open_runtime("torch", model, precision=precision)

    def __call__(self, picture: str | Path | bytes | Tensor | np.ndarray | Image.Image) -> Scene:
        """Return what is in one picture, as far as the model is sure enough to show it.

        Args:
            picture: a path, the bytes of a file, a PIL picture, or uint8 RGB pixels: a tensor (3, H, W) or an array
                (H, W, 3).

        Raises:
            PictureError: it cannot be read, or is none of these.
        """
        name = str(picture) if isinstance(picture, str | Path) else None
        return self.shown(self.scenes([_pixels(picture)])[0]).with_(source=name)

    def scenes(self, pictures: Sequence[Tensor]) -> list[Scene]:
        """Return everything that the model says, of whatever score, one Scene a picture.

        Args:
            pictures: (3, H, W) uint8 each, of any sizes.
        """
        return [self.scene_of(*self.prepare(picture)) for picture in pictures]

    def prepare(self, picture: Tensor, original: tuple[int, int] | None = None) -> tuple[Tensor, Frame]:
        """Scale and pad a picture (3, H, W) for the model; `original` if it was decoded at reduced scale."""
        frame = self.model.preprocessing.frame(original or (picture.shape[-2], picture.shape[-1]))
        return letterbox(picture, frame, self.model.preprocessing.fill), frame

    @torch.inference_mode()
    def scene_of(self, picture: Tensor, frame: Frame) -> Scene:
        """Return everything that the model says of a picture that `prepare` made ready."""
        (scene,) = self.system.decode(self.runtime(picture[None]), [frame])
        return scene

    def shown(self, scene: Scene) -> Scene:
        """Keep the objects that reach the display threshold of their class; weak boxes have passed theirs already."""
        if scene.scores is None or scene.labels is None:
            return scene
        least = torch.tensor([self._least(name) for name in scene.names()])
        sure = scene.scores >= least
        return scene.keep(sure if scene.weak is None else sure | scene.weak)

    def _least(self, name: str) -> float:
        if self.threshold is not None:
            return self.threshold
        thresholds: Mapping[str, float] = self.model.thresholds
        return thresholds.get(name, thresholds.get("", DEFAULT_THRESHOLD))


def load(
    name: str | Path,
    *,
    threshold: float | None = None,
    precision: Precision = "float32",
    runtime: RuntimeName = "torch",
    **choice: Any,
) -> Predictor:
    """Load a model by name or folder and return it as a function from pictures to Scenes.

    Args:
        name: of a shipped model ("cells", "everyday"), a model's folder or a training run's folder.
        threshold: see `Predictor`.
        precision, runtime: see `allsight.predict.runtimes.open_runtime`. choice: its further arguments.

    Raises:
        WeightsError: there is no such model, or its files are damaged. ModelError: the runtime cannot be had.
    """
    model = load_model(name)
    made = open_runtime(runtime, model, precision=precision, **choice)
    return Predictor(model, threshold=threshold, runtime=made)


def _pixels(picture: Any) -> Tensor:
    if isinstance(picture, str | Path | bytes):
        return read_picture(picture)
    if isinstance(picture, Image.Image):
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    if isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
    if isinstance(picture, Tensor) and picture.ndim == 3 and len(picture) == 3 and picture.dtype == torch.uint8:
        return picture
    shape = getattr(picture, "shape", type(picture).__name__)
    raise PictureError(f"{shape}: not a picture; give a path, a PIL picture, uint8 (3, H, W) or an array (H, W, 3)")
