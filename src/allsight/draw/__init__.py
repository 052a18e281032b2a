"""From Scenes to pictures: what is there, painted over the photograph, and small charts and sheets for reports."""

from allsight.draw.scene import draw
from allsight.draw.sheet import beside, contact_sheet

__all__ = ["beside", "contact_sheet", "draw"]
