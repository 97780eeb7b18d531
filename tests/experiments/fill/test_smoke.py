from pathlib import Path

import pytest

from tests.experiments import checks

NAMES = checks.of_chapter("fill")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_leaves_labelled_results_and_figures(name: str, results: Path) -> None:
    checks.check_run(name, results)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_redrawn_with_its_own_options(name: str, results: Path) -> None:
    checks.check_restored(name, results)


@pytest.mark.parametrize("name", NAMES[:1])
def test_plot_only_redraws_the_same_from_the_results(name: str, results: Path) -> None:
    checks.check_redrawn(name, results)
