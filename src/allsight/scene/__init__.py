"""The one vocabulary of the house: what is in a picture, whether a person drew it or a model predicted it."""

from allsight.scene.clip import Clip
from allsight.scene.fields import INSTANCE_FIELDS
from allsight.scene.frame import Frame
from allsight.scene.masks import Masks
from allsight.scene.scene import Scene
from allsight.scene.trust import Trust
from allsight.scene.vocabulary import Vocabulary

__all__ = ["INSTANCE_FIELDS", "Clip", "Frame", "Masks", "Scene", "Trust", "Vocabulary"]
