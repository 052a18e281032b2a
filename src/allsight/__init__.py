"""Allsight: vision beyond classification, from pixels to actions.

import allsight
scene = allsight.load("cells")("photo.jpg")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allsight.predict import Predictor, load
    from allsight.scene import Clip, Frame, Masks, Scene, Vocabulary

__version__ = "0.1.0"
__all__ = ["Clip", "Frame", "Masks", "Predictor", "Scene", "Vocabulary", "load"]


def __getattr__(name: str) -> Any:
    """Import on first use: `import allsight` and the command line's help stay fast."""
    if name in ("load", "Predictor"):
        import allsight.predict as home
    elif name in __all__:
        import allsight.scene as home  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module 'allsight' has no attribute {name!r}")
    return getattr(home, name)
