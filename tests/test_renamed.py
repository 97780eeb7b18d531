"""Former names are errors that say what is written now."""

import pytest

import fitb_jax
from fitb_jax import evaluation, extremal


@pytest.mark.parametrize(
    ("package", "name", "now"),
    [
        (evaluation, "crispness", "evaluation.softness"),
        (evaluation, "cascading", "evaluation.cascading_randomisation"),
        (evaluation, "Mean", "evaluation.Interval"),
        (evaluation, "leave_out", "evaluation.localisation.leave_out"),
        (extremal, "crispness_penalty", "extremal.softness_penalty"),
        (extremal, "meta_initial", "extremal.reptile_init"),
        (extremal, "Certificate", "evaluation.Interval"),
    ],
)
def test_a_former_name_is_an_error_that_says_the_new_one(
    package: object, name: str, now: str
) -> None:
    with pytest.raises(AttributeError, match=f"{name} is called {now} since version 0.2.0"):
        getattr(package, name)
    found = fitb_jax
    for part in now.split("."):
        found = getattr(found, part)


def test_a_name_that_never_was_is_unknown() -> None:
    for package in (evaluation, extremal):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = package.nothing
