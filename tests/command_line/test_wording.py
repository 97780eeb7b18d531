"""What is said of the numbers."""

from types import SimpleNamespace

import numpy as np
import pytest

from fitb_jax import heads
from fitb_jax.command_line import wording
from fitb_jax.command_line.explaining import Explanation, MethodResult, Shown


def _shown(p: float) -> Shown:
    return Shown(np.ones((2, 2)), np.ones((4, 2, 2)), np.full(4, p), np.ones((4, 2, 2, 3)))


def _verdicts(
    *, p_blank: float = 0.1, control: float = 0.1, head: str = "softmax", **changes: object
) -> str:
    """Of a tabby that the masks show with 0.7, and a crane drawn at random."""
    methods = {"extremal": MethodResult(_shown(0.7), _shown(control), 0.1, 0.0)}
    found = Explanation(
        image=np.ones((2, 2, 3)),
        p=np.array([0.6, 0.05, 0.35]),
        are_probabilities=False,
        target=0,
        other=1,
        p_blank=p_blank,
        other_blank=0.1,
        edges=_shown(0.1),
        methods=methods,
    )._replace(**changes)
    classifier = SimpleNamespace(
        class_names=("tabby, cat", "crane", "tray"), head=heads.HEADS[head], background="blur"
    )
    return " ".join(wording.verdicts(classifier, found))


@pytest.mark.usefixtures("unchecked")
def test_sentences_say_what_the_numbers_mean() -> None:
    assert "p(tabby) is 0.10; of the whole photograph 0.60" in _verdicts()
    assert "prove nothing" not in _verdicts(p_blank=0.46)  # chance is a third
    assert "already has tabby with p 0.48" in _verdicts(p_blank=0.48)
    assert "of crane, a class drawn at random, reaches p 0.10 at best, with 5%" in _verdicts()
    assert "For tabby it reaches 0.70, with 5%." in _verdicts()
    assert "masks are found for what is not there" in _verdicts(control=0.5)
    assert "that is tabby, with p 0.60" in _verdicts(target=2)
    two = {"p": np.array([0.9, 0.1]), "head": "binary"}
    assert "prove nothing" not in _verdicts(p_blank=0.5, **two)  # no more than a guess
    assert "already has tabby" in _verdicts(p_blank=0.75, **two)
    assert "most backgrounds have one: try --class 1 for “crane”" in _verdicts(p_blank=0.75, **two)
    seen = _verdicts(p=np.array([0.003, 0.0, 0.997]), p_blank=0.001)
    assert "hardly sees tabby here: p 0.003" in seen
    assert "Some parts have more than the whole photograph, up to 0.70: what they hide" in seen
    assert "Look first" not in seen
    unseen = np.array([0.001, 0.0, 0.999])
    assert "hardly sees tabby here: p 0.001 of the whole" in _verdicts(p=unseen, p_blank=0.004)
    hardly = {"extremal": MethodResult(_shown(0.002), _shown(0.001), 0.1, 0.0)}
    unfound = _verdicts(methods=hardly)
    assert "No mask of tabby reaches p 0.01: the search found nothing. The same" in unfound
    assert "masks of crane, a class drawn at random, reaches p 0.001 at best, with 5%" in unfound
    assert "For tabby it reaches" not in unfound
    # Where the blank has a class, its masks and maps are not spoken of.
    blank = _verdicts(p_blank=0.55, edges=_shown(0.9))
    assert "prove nothing" in blank
    assert "reaches" not in blank
    assert "the edges" not in blank
    of_blank = _verdicts(other_blank=0.9, control=0.9)
    assert "no control: p of “crane”, a class drawn at random, is 0.90 on the" in of_blank
    assert "alone, and 0.05 on the whole photograph." in of_blank
    assert "reaches" not in of_blank
    assert "Look first at Extremal masks" in of_blank
    noise = _verdicts(p=unseen, p_blank=0.0, methods=hardly, edges=_shown(0.003))
    assert "the edges" not in noise
    assert "give --head probabilities" in _verdicts(are_probabilities=True)
    alike = {"rise": MethodResult(_shown(0.7), _shown(0.1), 0.9, 0.0)}
    assert "hardly depend on the class: RISE (0.90)." in _verdicts(methods=alike)
    assert "No map has both clearly more p than the edges, by 0.05" in _verdicts(methods=alike)
    assert "No map has both" in _verdicts(edges=_shown(0.66))
    # What only the edges have is no part that speaks for the class.
    assert "Some parts" not in _verdicts(p=np.array([0.7, 0.05, 0.25]), edges=_shown(0.9))
    assert "p(tabby) 0.70. No more: RISE 0.70. This" in _verdicts(methods=alike, edges=_shown(0.7))
    assert "p(tabby) 0.10. More: RISE 0.70. This" in _verdicts(methods=alike)
    assert "searched to have" not in _verdicts(methods=alike)
    assert "is. Extremal masks are searched to have much of it. Look" in _verdicts()
    assert "Look first at Extremal masks. Then run it with another --seed" in _verdicts()
    assert "No map has both" in _verdicts(control=0.5)  # masks of what is not there
    assert "too little" not in _verdicts()
    growing = _shown(0.7)._replace(p=np.array([0.0, 0.004, 0.3, 0.7]))
    found = {"extremal": MethodResult(growing, _shown(0.1), 0.1, 0.0)}
    little = "10% of the square that the network sees is too little: through this mask"
    assert little in _verdicts(methods=found)
    both = {"p": np.array([0.9, 0.8]), "head": "multi_label"}
    assert "p of “crane”, the other label, is 0.90 on" in _verdicts(other_blank=0.9, **both)
    assert "hardly depend on the class: RISE" in _verdicts(methods=alike, **both)
    assert "hardly depend" not in _verdicts(methods=alike, p=both["p"], head="binary")
    of_labels = _verdicts(head="multi_label", target=2)  # 0.35, where another has 0.6
    assert "tray is rather absent than present" in of_labels
    assert "sees most" not in of_labels
    assert "more than the whole photograph, up to 0.70: what they hide may speak against it" in (
        of_labels
    )
    assert "more than the whole" not in _verdicts(p=np.array([0.695, 0.05, 0.255]))
    assert "absent" not in _verdicts(head="multi_label")
    of_regression = _verdicts(head="regression", p_blank=0.31)
    assert "tabby is 0.31; of the whole photograph 0.6. In the mean over sizes" in of_regression
    assert "have output(tabby) 0.1. More: Extremal masks 0.7. This" in of_regression
    assert "Look first" not in of_regression
