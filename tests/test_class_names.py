"""Classes by name: the one that is meant, or all that may be."""

import pytest

from fitb_jax import imagenet
from fitb_jax.class_names import find_class, short_name


def test_a_class_is_found_by_any_of_its_names() -> None:
    names, ids, _ = imagenet.classes()
    for wanted in ("281", "n02123045", "tabby", "Tabby Cat", "tabby, tabby cat", " TABBY "):
        assert find_class(wanted, names, wordnet_ids=ids) == 281
    assert find_class("egyptian", names) == 285  # a word of one name only
    assert short_name(names[281]) == "tabby"


def test_few_names_are_all_listed() -> None:
    with pytest.raises(ValueError, match="got 'qqq'; the classes are 0: red; 1: green"):
        find_class("qqq", ["red", "green"])


def test_a_name_comes_before_an_index() -> None:
    assert find_class("2", ["1", "2", "3"]) == 1
    assert find_class("0", ["1", "2", "3"]) == 0


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("tabbby", "got 'tabbby'; the nearest are 281: tabby, tabby cat"),
        ("qqqqq", "none of 1000 is near to it"),
        ("crane", "one of 2 that 'crane' may mean; give the index: 134: crane; 517: crane"),
        ("Persian cat, tabby", "the nearest are"),
        ("1000", r"must lie in \[0, 1000\)"),
        ("-1", r"must lie in \[0, 1000\)"),
        (" ", "got nothing"),
    ],
)
def test_what_is_no_class_or_several_is_refused(wanted: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_class(wanted, imagenet.classes().names)


def test_all_candidates_are_listed() -> None:
    with pytest.raises(ValueError, match="one of 7 that 'cat' may mean") as refused:
        find_class("cat", imagenet.classes().names)
    assert all(f"{index}: " in str(refused.value) for index in (281, 282, 283, 284, 285, 383, 387))
