"""Should an explanation be believed? Scores of maps and masks, one image at a time."""

from fitb_jax.evaluation.aggregation import summarise as summarise
from fitb_jax.evaluation.board import scoreboard as scoreboard
from fitb_jax.evaluation.board_table import score_table as score_table
from fitb_jax.evaluation.cell_deletion import single_deletion as single_deletion
from fitb_jax.evaluation.complexity import count_components as count_components
from fitb_jax.evaluation.complexity import entropy as entropy
from fitb_jax.evaluation.complexity import gini as gini
from fitb_jax.evaluation.complexity import total_variation as total_variation
from fitb_jax.evaluation.consistency import area_consistency as area_consistency
from fitb_jax.evaluation.consistency import calibration as calibration
from fitb_jax.evaluation.consistency import continuity as continuity
from fitb_jax.evaluation.consistency import nestedness as nestedness
from fitb_jax.evaluation.consistency import softness as softness
from fitb_jax.evaluation.control_maps import controls as controls
from fitb_jax.evaluation.drop_and_gain import average_drop as average_drop
from fitb_jax.evaluation.faithfulness import deletion as deletion
from fitb_jax.evaluation.faithfulness import insertion as insertion
from fitb_jax.evaluation.intervals import Interval as Interval
from fitb_jax.evaluation.intervals import bootstrap_interval as bootstrap_interval
from fitb_jax.evaluation.intervals import clopper_pearson as clopper_pearson
from fitb_jax.evaluation.intervals import mean_interval as mean_interval
from fitb_jax.evaluation.intervals import proportion_interval as proportion_interval
from fitb_jax.evaluation.localisation import energy_pointing_game as energy_pointing_game
from fitb_jax.evaluation.localisation import iou_curve as iou_curve
from fitb_jax.evaluation.localisation import pointing_game as pointing_game
from fitb_jax.evaluation.localisation import precision as precision
from fitb_jax.evaluation.localisation import relevance_mass as relevance_mass
from fitb_jax.evaluation.localisation import relevance_rank as relevance_rank
from fitb_jax.evaluation.map_similarity import hog_correlation as hog_correlation
from fitb_jax.evaluation.map_similarity import similarity as similarity
from fitb_jax.evaluation.map_similarity import spearman as spearman
from fitb_jax.evaluation.map_similarity import ssim as ssim
from fitb_jax.evaluation.map_similarity import top_k_iou as top_k_iou
from fitb_jax.evaluation.randomisation import cascading_randomisation as cascading_randomisation
from fitb_jax.evaluation.randomisation import independent_randomisation as independent_randomisation
from fitb_jax.evaluation.remove_and_debias import road as road
from fitb_jax.evaluation.retraining import ExplainedImages as ExplainedImages
from fitb_jax.evaluation.retraining import retrained_accuracy as retrained_accuracy
from fitb_jax.evaluation.robustness import infidelity as infidelity
from fitb_jax.evaluation.robustness import max_sensitivity as max_sensitivity
from fitb_jax.evaluation.sanity import Case as Case
from fitb_jax.evaluation.sanity import compare as compare
from fitb_jax.evaluation.sanity import compare_methods as compare_methods
from fitb_jax.evaluation.sanity import input_shift_case as input_shift_case
from fitb_jax.evaluation.sanity import join_cases as join_cases
from fitb_jax.evaluation.sanity import network_cases as network_cases
from fitb_jax.evaluation.sanity import random_logit_case as random_logit_case
from fitb_jax.evaluation.sanity import random_other_class as random_other_class
from fitb_jax.evaluation.stability import agreement as agreement
from fitb_jax.evaluation.stability import agreement_between as agreement_between
from fitb_jax.evaluation.stability import mean_map as mean_map
from fitb_jax.evaluation.stability import pairwise_agreement as pairwise_agreement
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
        "Compared": "evaluation.sanity.MapComparison",
        "Agreement": "evaluation.stability.Agreement",
        "AreaConsistency": "evaluation.consistency.AreaConsistency",
        "Components": "components.Components",
        "Controls": "evaluation.control_maps.Controls",
        "Curve": "evaluation.faithfulness.Curve",
        "ExplainFn": "evaluation.robustness.ExplainFn",
        "Imputed": "evaluation.remove_and_debias.Imputed",
        "Infidelity": "evaluation.robustness.Infidelity",
        "IouCurve": "evaluation.localisation.IouCurve",
        "LocalModels": "evaluation.taylor_models.LocalModels",
        "MapComparison": "evaluation.sanity.MapComparison",
        "MeanMap": "evaluation.stability.MeanMap",
        "Order": "evaluation.retraining.Order",
        "PerturbFn": "evaluation.robustness.PerturbFn",
        "ROAR_FRACTIONS": "evaluation.retraining.ROAR_FRACTIONS",
        "Road": "evaluation.remove_and_debias.Road",
        "Sensitivity": "evaluation.robustness.Sensitivity",
        "Similarity": "evaluation.map_similarity.Similarity",
        "Summary": "evaluation.aggregation.Summary",
        "TrainFn": "evaluation.retraining.TrainFn",
        "blurred_map": "evaluation.control_maps.blurred_map",
        "centre_point": "evaluation.control_maps.centre_point",
        "centred_disc": "evaluation.control_maps.centred_disc",
        "connected_components": "components.connected_components",
        "difficult_cases": "evaluation.aggregation.difficult_cases",
        "fill_boxes": "evaluation.aggregation.fill_boxes",
        "gaussian_noise": "evaluation.robustness.gaussian_noise",
        "hog": "evaluation.map_similarity.hog",
        "impute": "evaluation.remove_and_debias.impute",
        "leave_out": "evaluation.localisation.leave_out",
        "random_map": "evaluation.control_maps.random_map",
        "random_smooth": "evaluation.control_maps.random_smooth",
        "randomise": "evaluation.randomisation.randomise",
        "ranks": "evaluation.ranking.ranks",
        "remove": "evaluation.retraining.remove",
        "remove_square": "evaluation.robustness.remove_square",
        "rise_blur": "evaluation.faithfulness.rise_blur",
        "sobel_edges": "evaluation.control_maps.sobel_edges",
        "squared_distance": "evaluation.localisation.squared_distance",
        "top_count_weights": "evaluation.ranking.top_count_weights",
        "top_weights": "evaluation.ranking.top_weights",
        "unit_range": "evaluation.map_similarity.unit_range",
    },
)
