"""`Predictor`: a model that takes pictures of any size and answers in their own pixels."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from allsight.data.pictures.reading import letterbox, read_picture
from allsight.errors import ModelError, PictureError
from allsight.hub import Model
from allsight.hub import load as load_model
from allsight.knowing.knowledge import Knowledge
from allsight.models.vision import Vision
from allsight.models.whole.everything import Everything
from allsight.predict.order import in_order
from allsight.predict.runtimes import Precision, Runtime, RuntimeName, open_runtime
from allsight.scene import Frame, Scene
from allsight.scene.geometry import IGNORE

DEFAULT_THRESHOLD = 0.3


class Predictor:
    """A model with its preprocessing, its display thresholds and what computes it.

    Pictures are computed one by one: in float32 eight together take 1.4 times as long each, because what lies between
    two layers no longer fits into the cache. Several at a time are for threads; see `allsight.predict.order.in_order`.

    Args:
        model: what to ask.
        threshold: shows objects from this score on; by default each class's own from the model's configuration.
        runtime: computes the model's raw outputs; by default torch.
        precision: of that torch.
        abstain: calibrate scores and say what the model does not vouch for (`Scene.trust`); `runtime`, if given, must
            give the features of the model's knowledge.

    Raises:
        ModelError: it is to abstain but has not been calibrated.
    """

    def __init__(
        self,
        model: Model,
        *,
        threshold: float | None = None,
        precision: Precision = "float32",
        runtime: Runtime | None = None,
        abstain: bool = False,
    ) -> None:
        self.knowledge = knowledge_of(model) if abstain else None
        self.model = model
        self.system = model.system.eval()
        self.threshold = threshold
        self.runtime = runtime or open_runtime("torch", model, precision=precision)

    @overload
    def __call__(self, picture: str | Path | bytes | Tensor | np.ndarray | Image.Image) -> Scene: ...
    @overload
    def __call__(self, picture: list[Any] | tuple[Any, ...]) -> list[Scene]: ...
    def __call__(self, picture: Any) -> Scene | list[Scene]:
        """Return what is in one picture, or in each of a list, as far as the model is sure enough to show it.

        Args:
            picture: a path, the bytes of a file, a PIL picture, or uint8 RGB pixels: a tensor (3, H, W) or an array
                (H, W, 3). A list or tuple of these is looked at by several threads.

        Raises:
            PictureError: it, or one of the list, cannot be read, or is none of these; `allsight.predict.stream` goes on
                with the others instead.
        """
        if isinstance(picture, list | tuple):
            return list(in_order(self, picture))
        name = str(picture) if isinstance(picture, str | Path) else None
        return self.shown(self.parts(*self.prepare(pixels(picture)))).with_(source=name)

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

    def scene_of(self, picture: Tensor, frame: Frame) -> Scene:
        """Return everything that the model says of a picture that `prepare` made ready."""
        scene = self.parts(picture, frame)
        return self.system.merged(scene, self.system.least_score) if isinstance(self.system, Everything) else scene

    @torch.inference_mode()
    def parts(self, picture: Tensor, frame: Frame) -> Scene:
        """Return what `scene_of` does, but for the panoptic map, which `shown` makes of what is left."""
        outputs = self.runtime(picture[None])
        decode = self.system.parts if isinstance(self.system, Everything) else self.system.decode
        (scene,) = decode(outputs, [frame])
        if self.knowledge is None:
            return scene
        features = outputs.features if self.knowledge.features else {}
        return self.knowledge.judge(scene, self.knowledge.vectors(scene, features, frame))

    def shown(self, scene: Scene) -> Scene:
        """Keep what is sure enough to be shown.

        Objects must reach the display threshold of their class; weak boxes have passed theirs already. A threshold that
        was given is one of the scores that are shown: of calibrated ones, where the model abstains. Pixels must reach
        that of their class, else their region is not known (255). A panoptic map is made of what is left.
        """
        if scene.scores is not None and scene.labels is not None:
            scene = scene.keep(self.sure(scene))
        if scene.region_scores is not None and scene.regions is not None:
            least = torch.zeros(IGNORE + 1)
            for label, name in enumerate(scene.region_classes or ()):
                least[label] = self.model.region_thresholds.get(name, 0.0)
            sure = scene.region_scores.flatten() >= least.index_select(0, scene.regions.flatten())
            scene = scene.with_(regions=scene.regions.where(sure.view_as(scene.regions), IGNORE))
        if isinstance(self.system, Everything):
            scene = self.system.merged(scene, least_score=0.0)
        return scene

    def sure(self, scene: Scene) -> Tensor:
        """Return (N,) bool: which objects of a scene with labels and scores are shown."""
        assert scene.scores is not None
        sure = scene.scores >= torch.tensor([self.least(name) for name in scene.names()])
        return sure if scene.weak is None else sure | scene.weak

    def least(self, name: str) -> float:
        """Return the score from which objects of a class are shown; above 1 for none of them."""
        if self.threshold is not None:
            return self.threshold
        least = _threshold(self.model, name)
        return least if self.knowledge is None else self.knowledge.threshold(least)


def load(
    name: str | Path,
    *,
    threshold: float | None = None,
    precision: Precision = "float32",
    runtime: RuntimeName = "torch",
    abstain: bool = False,
    shown_only: bool = False,
    **choice: Any,
) -> Predictor:
    """Load a model by name or folder and return it as a function from pictures to Scenes.

    Args:
        name: of a shipped model ("cells", "everyday"), a model's folder or a training run's folder.
        threshold, abstain: see `Predictor`.
        shown_only: see `narrow`; without effect where the model abstains or a threshold is given.
        precision, runtime: see `allsight.predict.runtimes.open_runtime`. choice: its further arguments.

    Raises:
        WeightsError: there is no such model, or its files are damaged. ModelError: the runtime cannot be had, or the
            model is to abstain but has not been calibrated.
    """
    model = load_model(name)
    if shown_only and threshold is None and not abstain:
        narrow(model)
    features = knowledge_of(model).features if abstain else ()
    made = open_runtime(runtime, model, precision=precision, features=features, **choice)
    return Predictor(model, threshold=threshold, runtime=made, abstain=abstain)


def narrow(model: Model) -> None:
    """Let a model compute no objects and masks that its own thresholds hide.

    That takes less time where few classes can be shown, or few objects are. What is shown stays the same, but for
    objects and masks that hidden ones crowded out, where they are more than a head answers with. What is hidden
    (`Predictor.scenes`) is incomplete then, and the model can learn no more.
    """
    if isinstance(model.system, Vision):
        model.system.narrow(partial(_threshold, model))


def knowledge_of(model: Model) -> Knowledge:
    """Return what a model knows of its limits.

    Raises:
        ModelError: it has not been calibrated.
    """
    if model.knowledge is None:
        raise ModelError(f"{model.name}: cannot say what it does not know; run: allsight calibrate MODEL DATA")
    return model.knowledge


def _threshold(model: Model, name: str) -> float:
    """Return the score from which a model's objects of a class are shown."""
    thresholds: Mapping[str, float] = model.thresholds
    return thresholds.get(name, thresholds.get("", DEFAULT_THRESHOLD))


def pixels(picture: Any) -> Tensor:
    """Return (3, H, W) uint8 of whatever may be asked about; see `Predictor.__call__`."""
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
