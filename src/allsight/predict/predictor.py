"""`Predictor`: a model that takes what it is asked about as it is, pictures of any size, and answers in its terms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allsight.data.inputs import PictureInputs
from allsight.errors import ModelError
from allsight.hub import Model
from allsight.hub import load as load_model
from allsight.knowing.knowledge import Knowledge
from allsight.models.system import Answering
from allsight.predict.order import in_order
from allsight.predict.runtimes import Precision, Runtime, RuntimeName, open_runtime
from allsight.scene import Scene
from allsight.scene.vocabulary import IGNORE


class Predictor:
    """A model with its inputs, its display thresholds and what computes it.

    Inputs are computed one by one: in float32 eight pictures together take 1.4 times as long each, because what lies
    between two layers no longer fits into the cache. Several at a time are for threads; see
    `allsight.predict.order.in_order`.

    Args:
        model: what to ask.
        threshold: shows objects from this score on; by default each class's own from the model's configuration.
        runtime: computes the model's raw outputs; by default torch.
        precision: of that torch.
        abstain: calibrate scores and say what the model does not vouch for (`Scene.trust`); `runtime`, if given, must
            give the features of the model's knowledge.

    Raises:
        ModelError: it is to abstain but has not been calibrated, has nothing that a threshold could hide, or is of
            those that learn but do not answer.
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
        if threshold is not None and model.display is None:
            raise ModelError(f"{model.name}: has nothing that a threshold could hide; leave it out")
        self.knowledge = knowledge_of(model) if abstain else None
        self.model = model
        self.system = answering(model).eval()
        self.threshold = threshold
        self.runtime = runtime or open_runtime("torch", model, precision=precision)

    def __call__(self, raw: Any) -> Any:
        """Return the answer to one input, or to each picture of a list, as far as the model is sure enough to show it.

        Args:
            raw: what the model's inputs take. A picture is a path, the bytes of a file, a PIL picture, or uint8 RGB
                pixels: a tensor (3, H, W) or an array (H, W, 3). A list or tuple of these is looked at by several
                threads.

        Returns:
            Of a picture system a Scene; for a list, a list of Scenes.

        Raises:
            PictureError: it is of pictures, and cannot be read or is none of these; `allsight.predict.stream` goes on
                with the others instead.
        """
        if isinstance(raw, list | tuple) and isinstance(self.model.inputs, PictureInputs):
            return list(in_order(self, raw))
        answer = self.shown(self.answer(*self.prepare(raw)))
        name = str(raw) if isinstance(raw, str | Path) else None
        return answer.with_(source=name) if isinstance(answer, Scene) else answer

    def scenes(self, pictures: Sequence[Tensor]) -> list[Scene]:
        """Return everything that the model says, of whatever score, one Scene a picture.

        Args:
            pictures: (3, H, W) uint8 each, of any sizes.
        """
        return [self.scene_of(*self.prepare(picture)) for picture in pictures]

    def prepare(self, raw: Any, original: tuple[int, int] | None = None) -> tuple[Tensor, Any]:
        """Bring an input to what the system takes; `original` is the size of a picture decoded at reduced scale.

        Returns:
            What goes into a batch, and the place that an answer is for: of a picture its Frame.
        """
        return self.model.inputs.prepare(raw) if original is None else self.model.pictures.prepare(raw, original)

    def scene_of(self, ready: Tensor, place: Any) -> Any:
        """Return everything that the model says of what `prepare` made ready, finished."""
        return self.system.finished(self.answer(ready, place))

    @torch.inference_mode()
    def answer(self, ready: Tensor, place: Any) -> Any:
        """Return everything that the model says of what `prepare` made ready; `shown` finishes what is left of it."""
        outputs = self.runtime(ready[None])
        (answer,) = self.system.decode(outputs, [place])
        if self.knowledge is None:
            return answer
        features = outputs.features if self.knowledge.features else {}
        return self.knowledge.judge(answer, self.knowledge.vectors(answer, features, place))

    def shown(self, answer: Any) -> Any:
        """Keep what is sure enough to be shown, and finish it.

        Of a Scene, objects must reach the display threshold of their class; weak boxes have passed theirs already. A
        threshold that was given is one of the scores that are shown: of calibrated ones, where the model abstains.
        Pixels must reach that of their class, else their region is not known (255). A panoptic map is made of what is
        left. Other answers are shown whole.
        """
        if isinstance(answer, Scene) and self.model.display is not None:
            answer = self._sure_part(answer, self.model.display.region_thresholds)
        return self.system.finished(answer, shown=True)

    def _sure_part(self, scene: Scene, region_thresholds: Mapping[str, float]) -> Scene:
        if scene.scores is not None and scene.labels is not None:
            scene = scene.keep(self.sure(scene))
        if scene.region_scores is not None and scene.regions is not None:
            least = torch.zeros(IGNORE + 1)
            for label, name in enumerate(scene.region_classes or ()):
                least[label] = region_thresholds.get(name, 0.0)
            sure = scene.region_scores.flatten() >= least.index_select(0, scene.regions.flatten())
            scene = scene.with_(regions=scene.regions.where(sure.view_as(scene.regions), IGNORE))
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
        least = 0.0 if self.model.display is None else self.model.display.threshold(name)
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
    """Load a model by name or folder and return it as a function: from pictures to Scenes, if it is of pictures.

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
    if model.display is not None:
        answering(model).narrow(model.display.threshold)


def answering(model: Model) -> Answering[Any, Any]:
    """Return a model's system as one that answers.

    Raises:
        ModelError: it does not.
    """
    if not isinstance(model.system, Answering):
        raise ModelError(f"{model.name}: learns, but answers nothing by itself; choose another model")
    return model.system


def knowledge_of(model: Model) -> Knowledge:
    """Return what a model knows of its limits.

    Raises:
        ModelError: it has not been calibrated.
    """
    if model.knowledge is None:
        raise ModelError(f"{model.name}: cannot say what it does not know; run: allsight calibrate MODEL DATA")
    return model.knowledge
