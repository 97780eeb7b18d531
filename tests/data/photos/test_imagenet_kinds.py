"""Which classes of ImageNet those of VOC and COCO are."""

from fitb_jax import imagenet
from fitb_jax.data import imagenet_indices
from fitb_jax.data.photos.voc import CLASS_NAMES as VOC

INDICES = imagenet_indices(VOC)


def test_every_class_of_voc_is_some_of_imagenet_and_none_is_two() -> None:
    assert all(INDICES)
    every = [index for indices in INDICES for index in indices]
    assert len(set(every)) == len(every)
    names = imagenet.classes().names
    assert len(INDICES[VOC.index("dog")]) == 118
    for voc, part in (("dog", "Pembroke"), ("cat", "Siamese"), ("bird", "flamingo")):
        assert any(part in names[i] for i in INDICES[VOC.index(voc)])


def test_names_of_coco_and_imagenet_are_found_each_in_their_own_sense() -> None:
    names = imagenet.classes().names
    (laptops, kites, oranges, tvs) = imagenet_indices(("laptop", "kite", "orange", "tv"))
    assert {names[i].split(",")[0] for i in laptops} == {"laptop", "notebook"}
    assert kites == ()
    assert [names[i] for i in oranges] == ["orange"]
    assert tvs == INDICES[VOC.index("tvmonitor")]
    ((kite,),) = imagenet_indices(("kite",))  # alone it is a name of ImageNet's
    assert names[kite] == "kite"
    assert imagenet_indices(("n01440764", "no such thing")) == [(0,), ()]
