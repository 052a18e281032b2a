"""From files, folders and arrays to Scenes."""

from allsight.predict.notebook import show_in_notebooks
from allsight.predict.predictor import Predictor, load
from allsight.predict.stream import Seen, stream

show_in_notebooks()

__all__ = ["Predictor", "Seen", "load", "stream"]
