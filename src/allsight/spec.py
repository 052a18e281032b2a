"""`Spec`: what to build, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from allsight.lookup import named
from allsight.systems import INPUTS, PARTS, builder


@dataclass(frozen=True)
class Spec:
    """What to build, as data: a builder's name and its arguments, which may be Specs themselves.

    Args:
        builder: a name of `allsight.systems`.
        arguments: keyword arguments: plain JSON values, Specs, and built parts that the table names, such as a
            Vocabulary, which become their Specs.

    Raises:
        TypeError: an argument is a part that the table does not name.
    """

    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = {name: Spec.of(v) if _is_part(v) else v for name, v in self.arguments.items()}
        object.__setattr__(self, "arguments", plain)

    def build(self) -> Any:
        """Build it, innermost parts first.

        Raises:
            ModelError: no such builder. WeightsError: a part's weights are not at hand.
        """
        arguments = {k: v.build() if isinstance(v, Spec) else v for k, v in self.arguments.items()}
        return builder(self.builder)(**arguments)

    @classmethod
    def of(cls, part: Any) -> "Spec":
        """Return the Spec of a built dataclass that the table names, such as a model's inputs: its own fields.

        Raises:
            TypeError: the table does not name it.
        """
        name = _name(part)
        if name is None:
            raise TypeError(f"{type(part).__name__} is no dataclass that the table of allsight.systems names")
        values = {each.name: getattr(part, each.name) for each in fields(part) if each.init}
        return cls(name, {k: _plain(v) for k, v in values.items()})

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        arguments = {k: v.to_json() if isinstance(v, Spec) else v for k, v in self.arguments.items()}
        return {"builder": self.builder, "arguments": arguments}

    @classmethod
    def from_json(cls, value: Any) -> "Spec":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(value, dict) or not isinstance(value.get("builder"), str):
            raise ValueError(f"{value!r} names no builder")
        arguments = value.get("arguments")
        if not isinstance(arguments, dict):
            raise ValueError(f"{value['builder']} has no arguments")
        return cls(
            value["builder"],
            {k: cls.from_json(v) if isinstance(v, dict) and "builder" in v else v for k, v in arguments.items()},
        )


def _is_part(value: Any) -> bool:
    """Tell whether a value has to be described before it is written."""
    return is_dataclass(value) and not isinstance(value, Spec)


def _name(part: Any) -> str | None:
    """Return how the table calls the class of a built part."""
    if not is_dataclass(part):
        return None
    table = {**INPUTS, **PARTS}
    return next((name for name in table if named(table, name, "part") is type(part)), None)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return Spec.of(value)
    return list(value) if isinstance(value, tuple) else value
