"""`System`: what every learnable system of the house is; `Answering`: one whose outputs say something."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

Place = TypeVar("Place")
Answer = TypeVar("Answer")


class System(nn.Module, ABC):
    """A module with two verbs over its own kind of batch: forward and loss."""

    @abstractmethod
    def forward(self, inputs: Any) -> Any:
        """Return raw tensors in a NamedTuple, every intermediate worth seeing; exportable."""

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Return named scalar terms; their sum is minimised.

        Left as it is by a system whose losses are those of a TrainingStep of its own: adversaries, inner loops.

        Raises:
            NotImplementedError: this is such a system.
        """
        raise NotImplementedError(f"{type(self).__name__}: has no loss by itself; train it by its own TrainingStep")

    def lean(self, outputs: Any, features: Sequence[str] = ()) -> Any:
        """Return the outputs that say something by themselves, as `decode` reads them; here all of them.

        Args:
            outputs: of `forward`. features: names of those that are wanted all the same.
        """
        return outputs


class Answering(System, Generic[Place, Answer]):
    """A system that answers: each of its inputs came from a Place, and what it says there is an Answer.

    A picture system answers with Scenes in the places of Frames, a reader with texts. Only `decode` has to be written.
    """

    @abstractmethod
    def decode(self, outputs: Any, places: Sequence[Place]) -> list[Answer]:
        """Return all that the outputs say, of whatever score, in the original's coordinates; one answer a place."""

    def finished(self, answer: Answer, *, shown: bool = False) -> Answer:
        """Return an answer with what has to be made of it as a whole; here nothing, the answer itself.

        Args:
            answer: as `decode` gives it, or what was left of it.
            shown: it is what is left to be shown, and all of it is believed; else the system judges for itself.
        """
        return answer

    def narrow(self, least: Callable[[str], float]) -> None:
        """Compute less from now on: no more than it takes to show the objects that are wanted; it learns no more.

        A system that can leave out nothing stays as it is. To be called once.

        Args:
            least: from the name of a class to the score from which its objects are wanted; above 1 for none of them.
        """
