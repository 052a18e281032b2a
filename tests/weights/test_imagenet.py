"""The thousand names, at indices that are known from elsewhere."""

from allsight.weights.imagenet import imagenet_classes


def test_the_thousand_names():
    names = imagenet_classes()
    assert len(names) == 1000
    assert len({name.lower() for name in names}) == 1000
    assert all(name == name.strip() and name for name in names)
    known = {0: "tench", 134: "crane bird", 281: "tabby", 517: "crane", 620: "laptop", 963: "pizza"}
    assert {index: names[index] for index in known} == known
