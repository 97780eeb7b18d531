"""Should an explanation be believed? Scores of maps and masks, one image at a time."""

from fitb_jax.components import Components as Components
from fitb_jax.components import connected_components as connected_components
from fitb_jax.evaluation.aggregation import Summary as Summary
from fitb_jax.evaluation.aggregation import difficult_cases as difficult_cases
from fitb_jax.evaluation.aggregation import fill_boxes as fill_boxes
from fitb_jax.evaluation.aggregation import summarise as summarise
from fitb_jax.evaluation.complexity import count_components as count_components
from fitb_jax.evaluation.complexity import entropy as entropy
from fitb_jax.evaluation.complexity import gini as gini
from fitb_jax.evaluation.complexity import total_variation as total_variation
from fitb_jax.evaluation.consistency import AreaConsistency as AreaConsistency
from fitb_jax.evaluation.consistency import area_consistency as area_consistency
from fitb_jax.evaluation.consistency import calibration as calibration
from fitb_jax.evaluation.consistency import continuity as continuity
from fitb_jax.evaluation.consistency import nestedness as nestedness
from fitb_jax.evaluation.consistency import softness as softness
from fitb_jax.evaluation.control_maps import Controls as Controls
from fitb_jax.evaluation.control_maps import blurred_map as blurred_map
from fitb_jax.evaluation.control_maps import centre_point as centre_point
from fitb_jax.evaluation.control_maps import centred_disc as centred_disc
from fitb_jax.evaluation.control_maps import controls as controls
from fitb_jax.evaluation.control_maps import random_map as random_map
from fitb_jax.evaluation.control_maps import random_smooth as random_smooth
from fitb_jax.evaluation.control_maps import sobel_edges as sobel_edges
from fitb_jax.evaluation.faithfulness import Curve as Curve
from fitb_jax.evaluation.faithfulness import deletion as deletion
from fitb_jax.evaluation.faithfulness import insertion as insertion
from fitb_jax.evaluation.faithfulness import rise_blur as rise_blur
from fitb_jax.evaluation.intervals import Interval as Interval
from fitb_jax.evaluation.intervals import bootstrap_interval as bootstrap_interval
from fitb_jax.evaluation.intervals import clopper_pearson as clopper_pearson
from fitb_jax.evaluation.intervals import mean_interval as mean_interval
from fitb_jax.evaluation.intervals import proportion_interval as proportion_interval
from fitb_jax.evaluation.localisation import IouCurve as IouCurve
from fitb_jax.evaluation.localisation import energy_pointing_game as energy_pointing_game
from fitb_jax.evaluation.localisation import iou_curve as iou_curve
from fitb_jax.evaluation.localisation import leave_out as leave_out
from fitb_jax.evaluation.localisation import pointing_game as pointing_game
from fitb_jax.evaluation.localisation import precision as precision
from fitb_jax.evaluation.localisation import relevance_mass as relevance_mass
from fitb_jax.evaluation.localisation import relevance_rank as relevance_rank
from fitb_jax.evaluation.localisation import squared_distance as squared_distance
from fitb_jax.evaluation.map_similarity import Similarity as Similarity
from fitb_jax.evaluation.map_similarity import hog as hog
from fitb_jax.evaluation.map_similarity import hog_correlation as hog_correlation
from fitb_jax.evaluation.map_similarity import similarity as similarity
from fitb_jax.evaluation.map_similarity import spearman as spearman
from fitb_jax.evaluation.map_similarity import ssim as ssim
from fitb_jax.evaluation.map_similarity import top_k_iou as top_k_iou
from fitb_jax.evaluation.map_similarity import unit_range as unit_range
from fitb_jax.evaluation.randomisation import cascading_randomisation as cascading_randomisation
from fitb_jax.evaluation.randomisation import independent_randomisation as independent_randomisation
from fitb_jax.evaluation.randomisation import randomise as randomise
from fitb_jax.evaluation.ranking import ranks as ranks
from fitb_jax.evaluation.ranking import top_count_weights as top_count_weights
from fitb_jax.evaluation.ranking import top_weights as top_weights
from fitb_jax.evaluation.remove_and_debias import Imputed as Imputed
from fitb_jax.evaluation.remove_and_debias import Road as Road
from fitb_jax.evaluation.remove_and_debias import impute as impute
from fitb_jax.evaluation.remove_and_debias import road as road
from fitb_jax.evaluation.retraining import ROAR_FRACTIONS as ROAR_FRACTIONS
from fitb_jax.evaluation.retraining import ExplainedImages as ExplainedImages
from fitb_jax.evaluation.retraining import Order as Order
from fitb_jax.evaluation.retraining import TrainFn as TrainFn
from fitb_jax.evaluation.retraining import remove as remove
from fitb_jax.evaluation.retraining import retrained_accuracy as retrained_accuracy
from fitb_jax.evaluation.robustness import ExplainFn as ExplainFn
from fitb_jax.evaluation.robustness import Infidelity as Infidelity
from fitb_jax.evaluation.robustness import PerturbFn as PerturbFn
from fitb_jax.evaluation.robustness import Sensitivity as Sensitivity
from fitb_jax.evaluation.robustness import gaussian_noise as gaussian_noise
from fitb_jax.evaluation.robustness import infidelity as infidelity
from fitb_jax.evaluation.robustness import max_sensitivity as max_sensitivity
from fitb_jax.evaluation.robustness import remove_square as remove_square
from fitb_jax.evaluation.sanity import Case as Case
from fitb_jax.evaluation.sanity import MapComparison as MapComparison
from fitb_jax.evaluation.sanity import compare as compare
from fitb_jax.evaluation.sanity import compare_methods as compare_methods
from fitb_jax.evaluation.sanity import input_shift_case as input_shift_case
from fitb_jax.evaluation.sanity import join_cases as join_cases
from fitb_jax.evaluation.sanity import network_cases as network_cases
from fitb_jax.evaluation.sanity import random_logit_case as random_logit_case
from fitb_jax.evaluation.sanity import random_other_class as random_other_class
from fitb_jax.evaluation.stability import Agreement as Agreement
from fitb_jax.evaluation.stability import MeanMap as MeanMap
from fitb_jax.evaluation.stability import agreement as agreement
from fitb_jax.evaluation.stability import agreement_between as agreement_between
from fitb_jax.evaluation.stability import mean_map as mean_map
from fitb_jax.evaluation.stability import pairwise_agreement as pairwise_agreement
from fitb_jax.evaluation.taylor_models import LocalModels as LocalModels
from fitb_jax.evaluation.taylor_models import local_models as local_models
from fitb_jax.evaluation.taylor_models import local_radius as local_radius
from fitb_jax.renamed import renamed as _renamed

__getattr__ = _renamed(
    "fitb_jax.evaluation",
    {
        "Mean": "evaluation.Interval",
        "crispness": "evaluation.softness",
        "cascading": "evaluation.cascading_randomisation",
        "one_at_a_time": "evaluation.independent_randomisation",
        "Mapped": "evaluation.ExplainedImages",
        "Compared": "evaluation.MapComparison",
    },
)
