"""What NanoDet-Plus takes over from one that knows other classes."""

import torch

from allsight.errors import ModelError
from allsight.models.detection.generalised_focal import GeneralisedFocalHead
from allsight.models.vision import Vision
from allsight.weights.files import load_state

_LAST = "heads.objects.subnets.last."


def begin_with(system: Vision, earlier: Vision) -> None:
    """Give a system the weights of an earlier one: a class keeps its rows by its name, a new one begins as it is.

    Args:
        system: what is to learn; a guidance that it has begins as it is. earlier: of the same form in all but classes.

    Raises:
        ModelError: the earlier one is no NanoDet-Plus. WeightsError: it is one of another form.
    """
    own, other = (dict(each.heads.items()).get("objects") for each in (system, earlier))
    if not isinstance(own, GeneralisedFocalHead) or not isinstance(other, GeneralisedFocalHead):
        raise ModelError("the model to begin with is no NanoDet-Plus; give another, or begin from scratch")
    known = {name: row for row, name in enumerate(other.classes)}
    pairs = [(row, known[name]) for row, name in enumerate(own.classes) if name in known]
    pairs += [(len(own.classes) + i, len(other.classes) + i) for i in range(4 * own.numbers)]
    rows, theirs = torch.tensor(pairs).unbind(1)
    state = {}
    for name, tensor in earlier.state_dict().items():
        if name.startswith(_LAST) and other.numbers == own.numbers:
            kept = system.state_dict()[name].clone()
            kept[rows] = tensor[theirs]
            tensor = kept
        state[name] = tensor
    guidance = "heads.objects.guidance."
    state = {name: tensor for name, tensor in state.items() if not name.startswith(guidance)}
    load_state(system, state, source="the model to begin with", allow_missing=(guidance,))
