"""The 27 groups that COCO's 133 panoptic classes fall into: 12 of things, 15 of stuff (Caesar et al. 2018, COCO-Stuff).

A hundred photographs show many of the 133 classes once or never; most of the groups they show often.
"""

_GROUPS = {
    "person": "person",
    "vehicle": "bicycle, car, motorcycle, airplane, bus, train, truck, boat",
    "outdoor": "traffic light, fire hydrant, stop sign, parking meter, bench",
    "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
    "accessory": "backpack, umbrella, handbag, tie, suitcase",
    "sports": "frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
    "tennis racket",
    "kitchen": "bottle, wine glass, cup, fork, knife, spoon, bowl",
    "food": "banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake",
    "furniture": "chair, couch, potted plant, bed, dining table, toilet",
    "electronic": "tv, laptop, mouse, remote, keyboard, cell phone",
    "appliance": "microwave, oven, toaster, sink, refrigerator",
    "indoor": "book, clock, vase, scissors, teddy bear, hair drier, toothbrush",
    "textile": "banner, blanket, curtain, pillow, towel, rug-merged",
    "building": "bridge, house, roof, tent, building-other-merged",
    "raw material": "cardboard, paper-merged",
    "fittings": "counter, door-stuff, light, mirror-stuff, shelf, stairs, cabinet-merged, table-merged",
    "floor": "floor-wood, floor-other-merged",
    "plant": "flower, tree-merged, grass-merged",
    "other food": "fruit, food-other-merged",
    "ground": "gravel, platform, playingfield, railroad, road, sand, snow, pavement-merged, dirt-merged",
    "structure": "net, fence-merged",
    "water": "river, sea, water-other",
    "wall": "wall-brick, wall-stone, wall-tile, wall-wood, wall-other-merged",
    "window": "window-blind, window-other",
    "ceiling": "ceiling-merged",
    "sky": "sky-other-merged",
    "solid": "mountain-merged, rock-merged",
}

# The group of every class by name, in the order of the groups. What COCO calls furniture-stuff, food-stuff and
# structural are fittings, other food and structure here: words that a person reads under a picture.
COCO_GROUPS: dict[str, str] = {name: group for group, names in _GROUPS.items() for name in names.split(", ")}
