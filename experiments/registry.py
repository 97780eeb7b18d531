"""Every experiment, in the order of the report."""

from experiments import (
    extremal_quality,
    fill_ablation,
    fill_ablation_large,
    fill_fidelity,
    fill_in,
    fill_progressive,
    fill_prototypes,
    fill_second_order,
    inr_explain,
    localisation,
    occlusion_backgrounds,
    photo_accuracy,
    photo_fidelity,
    photo_fill_in,
    photo_prototypes,
    photo_regions,
    photo_scoreboard,
    roar,
    sanity_checks,
    scoreboard,
    sufficient_regions,
)
from experiments.experiment import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (
        fill_in,
        fill_prototypes,
        fill_progressive,
        fill_ablation,
        fill_second_order,
        fill_fidelity,
        fill_ablation_large,
        photo_fill_in,
        photo_accuracy,
        photo_fidelity,
        photo_prototypes,
        inr_explain,
        extremal_quality,
        localisation,
        sanity_checks,
        roar,
        scoreboard,
        photo_scoreboard,
        sufficient_regions,
        photo_regions,
        occlusion_backgrounds,
    )
}
