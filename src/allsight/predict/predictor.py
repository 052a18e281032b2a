"""`Predictor`: a model that takes pictures of any size and answers in their own pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allsight.data.pictures import letterbox, read_picture
from allsight.errors import PictureError
from allsight.hub import Model
from allsight.hub import load as load_model
from allsight.scene import Frame, Scene

Precision = Literal["auto", "float32", "bfloat16"]
DEFAULT_THRESHOLD = 0.3


class Predictor:
    """A model with its preprocessing and its display thresholds.

    Args:
        model: what to ask.
        threshold: shows objects from this score on; by default each class's own from the model's configuration.
        precision: "auto" computes in bfloat16 where the CPU has instructions for it.
        batch_size: pictures computed together. An answer does not depend on what else is in the batch: only pictures
            of the same padded size share one.
    """

    def __init__(
        self, model: Model, *, threshold: float | None = None, precision: Precision = "auto", batch_size: int = 8
    ) -> None:
        self.model = model
        self.system = model.system.eval()
        self.threshold = threshold
        self.batch_size = batch_size
        fast = precision == "bfloat16" or (precision == "auto" and _has_bfloat16())
        self.dtype = torch.bfloat16 if fast else torch.float32

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
        return self.scenes_of([self.prepare(picture) for picture in pictures])

    def prepare(self, picture: Tensor, original: tuple[int, int] | None = None) -> tuple[Tensor, Frame]:
        """Scale and pad a picture (3, H, W) for the model; `original` if it was decoded at reduced scale."""
        frame = self.model.preprocessing.frame(original or (picture.shape[-2], picture.shape[-1]))
        return letterbox(picture, frame, self.model.preprocessing.fill), frame

    @torch.inference_mode()
    def scenes_of(self, prepared: Sequence[tuple[Tensor, Frame]]) -> list[Scene]:
        """Return the Scenes of pictures that `prepare` made ready, in their order."""
        groups: dict[tuple[int, int], list[int]] = {}
        for place, (_, frame) in enumerate(prepared):
            groups.setdefault(frame.padded, []).append(place)
        answers: dict[int, Scene] = {}
        for places in groups.values():
            for start in range(0, len(places), self.batch_size):
                some = places[start : start + self.batch_size]
                batch = torch.stack([prepared[i][0] for i in some])
                with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
                    outputs = self.system(batch)
                answers |= zip(some, self.system.decode(outputs, [prepared[i][1] for i in some]), strict=True)
        return [answers[place] for place in range(len(prepared))]

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


def load(name: str | Path, **options: Any) -> Predictor:
    """Load a model by name or folder and return it as a function from pictures to Scenes.

    Args:
        name: of a shipped model ("cells", "everyday"), a model's folder or a training run's folder.
        options: of `Predictor`.

    Raises:
        WeightsError: there is no such model, or its files are damaged.
    """
    return Predictor(load_model(name), **options)


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


def _has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
