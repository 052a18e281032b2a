"""The words of the trade that help, tables and messages use, each in a sentence; docs/glossary.md shows the same."""

import difflib

from allsight.errors import ModelError

WORDS = {
    "AP": "Average precision, 0 to 1: how many of the objects are found, and how few false ones among them, over all"
    " scores from which one might show them; the mean over classes and over how exactly boxes must fit (IoU 0.50 to"
    " 0.95).",
    "AP50": "AP where a box counts as right from IoU 0.50 on: is it there, roughly, rather than how exactly.",
    "backbone": "Another word for trunk.",
    "boundary F1": "How well the borders between regions are met, 0 to 1, within a few pixels.",
    "box": "The upright rectangle around an object: x1, y1, x2, y2 in pixels.",
    "calibrated": "A score is calibrated if it is a probability: of what has 0.7, seven tenths are right. `allsight"
    " calibrate` sees to it.",
    "card": "What a model says of itself: data, scores, licence; README.md in its folder.",
    "claim": "A sentence of the lectures that `allsight claims` puts to the test.",
    "ECE": "Expected calibration error: by how much scores and the share that is right differ, in the mean; 0 is"
    " perfect.",
    "epoch": "Once through all training pictures.",
    "frozen": "Not trained: only what stands on the trunk learns, from features that are computed once. Takes minutes,"
    " and is best for few labels.",
    "graph": "A model written down for a fast runtime (ONNX); made once, in half a minute or so, and kept.",
    "head": "The part of a model that answers one question, such as boxes, from what the trunk computes.",
    "held out": "Kept away from training, so that a score on it is honest.",
    "instance": "One object, as opposed to all that there is of a class.",
    "IoU": "Intersection over union, 0 to 1: how much two boxes or masks cover each other.",
    "mask": "The pixels of one object.",
    "mask AP": "AP of masks instead of boxes.",
    "mean IoU": "IoU of the regions of a class with the truth, in the mean over classes.",
    "panoptic": "Objects and regions together: every pixel belongs to one object or one surface.",
    "PQ": "Panoptic quality, 0 to 1: how many segments are found, times how well they fit.",
    "recipe": "How a system is trained: its settings and their defaults; what `allsight train SYSTEM` runs.",
    "region": "All pixels of a class, such as sky or road.",
    "run": "The folder of a training: settings, log, checkpoints and, in the end, the model.",
    "score": "How sure a model is, 0 to 1; a probability only if it is calibrated.",
    "shots": "Labelled pictures to learn from: --shots 10 takes ten.",
    "split": "A part of a data set, such as train or val.",
    "stage": "A part of a trunk that halves the map: c2 is fine, c5 coarse.",
    "system": "A kind of model that can be trained, such as retinanet.",
    "tag": "A name for the picture as a whole.",
    "threshold": "The score from which something is shown.",
    "tile": "A piece of a large picture, looked at by itself to find small things.",
    "trunk": "The large part of a model, which turns pixels into features and has learned from millions of pictures;"
    " heads stand on it.",
    "views": "Versions of one training picture, mirrored, scaled and cut, so that a model does not learn it by heart.",
}


def explain(words: list[str]) -> str:
    """Return what words mean, a line each; of no words, which there are.

    Raises:
        ModelError: a word that is not in the glossary.
    """
    if not words:
        width = max(map(len, WORDS))
        return "\n".join(f"{word:<{width}}  {text}" for word, text in WORDS.items())
    names = {word.casefold(): word for word in WORDS}
    word = " ".join(words).casefold()
    if word not in names:
        near = difflib.get_close_matches(word, names, n=1)
        hint = f"did you mean {names[near[0]]!r}?" if near else "`allsight help words` lists those that are"
        raise ModelError(f"{' '.join(words)!r} is not explained; {hint}")
    return f"{names[word]}: {WORDS[names[word]]}"
