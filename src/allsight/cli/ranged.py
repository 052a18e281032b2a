"""Help that shows which values a setting of a recipe may have."""

from dataclasses import is_dataclass, replace
from typing import Annotated, Any

from tyro.conf import arg
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructTypeInfo

from allsight.recipes.common.ranges import Within, ranges


def ranged_settings() -> ConstructorRegistry:
    """Return the rule by which help shows the range of a setting behind its default."""
    registry = ConstructorRegistry()
    types: list[Any] = []  # whose fields are being looked up by the usual rules

    @registry.struct_rule
    def rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        limits = ranges(info.type) if is_dataclass(info.type) and info.type not in types else {}
        if not limits:
            return None
        types.append(info.type)
        try:
            usual = ConstructorRegistry.get_struct_spec(info)
        finally:
            types.pop()
        if not isinstance(usual, StructConstructorSpec):
            return None
        fields = [
            replace(field, type=_hinted(field.type, limits[field.name])) if field.name in limits else field
            for field in usual.fields
        ]
        return replace(usual, fields=tuple(fields))

    return registry


def _hinted(kind: Any, limits: Within) -> Any:
    return Annotated[kind, arg(help_behavior_hint=lambda default: f"(default: {default}; {limits})")]
