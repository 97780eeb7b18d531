from fitb_jax import imagenet


def test_the_table_has_a_thousand_classes_in_sorted_order() -> None:
    classes = imagenet.classes()
    assert len(classes.names) == len(classes.wordnet_ids) == len(classes.index_of) == 1000
    assert list(classes.wordnet_ids) == sorted(classes.wordnet_ids)
    assert classes.wordnet_ids[0] == "n01440764"
    assert classes.index_of["n02123045"] == 281
    assert classes.names[281].startswith("tabby")


def test_kinds_are_those_of_wordnet() -> None:
    classes = imagenet.classes()
    kinds = imagenet.kinds(classes.wordnet_ids)
    shown = {"tabby": "animals", "teapot": "artefacts", "strawberry": "other"}
    for name, kind in shown.items():
        index = next(i for i, names in enumerate(classes.names) if names.startswith(name))
        assert imagenet.KINDS[kinds[index]] == kind
