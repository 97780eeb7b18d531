from fitb_jax import imagenet


def test_the_table_has_a_thousand_classes_in_sorted_order() -> None:
    classes = imagenet.classes()
    assert len(classes.names) == len(classes.wordnet_ids) == len(classes.index_of) == 1000
    assert list(classes.wordnet_ids) == sorted(classes.wordnet_ids)
    assert classes.wordnet_ids[0] == "n01440764"
    assert classes.index_of["n02123045"] == 281
    assert classes.names[281].startswith("tabby")
