"""Extremal masks: of all masks of an area, the one that lets a classifier see what it needs."""

from fitb_jax.extremal.area import area_penalty as area_penalty
from fitb_jax.extremal.area import binarise as binarise
from fitb_jax.extremal.area import exact_area as exact_area
from fitb_jax.extremal.area import softness_penalty as softness_penalty
from fitb_jax.extremal.background import BLUR as BLUR
from fitb_jax.extremal.background import BackgroundName as BackgroundName
from fitb_jax.extremal.background import blend_pyramid as blend_pyramid
from fitb_jax.extremal.background import blur_pyramid as blur_pyramid
from fitb_jax.extremal.background import make_blend as make_blend
from fitb_jax.extremal.background import mean_colour as mean_colour
from fitb_jax.extremal.certificate import certify as certify
from fitb_jax.extremal.certificate import certify_stability as certify_stability
from fitb_jax.extremal.config import PLAIN as PLAIN
from fitb_jax.extremal.config import AreaForm as AreaForm
from fitb_jax.extremal.config import AreaSpacing as AreaSpacing
from fitb_jax.extremal.config import InrConfig as InrConfig
from fitb_jax.extremal.coordinates import CoordinateMLP as CoordinateMLP
from fitb_jax.extremal.coordinates import NetworkConfig as NetworkConfig
from fitb_jax.extremal.dense import TORCHRAY as TORCHRAY
from fitb_jax.extremal.dense import Dense as Dense
from fitb_jax.extremal.dense import DenseConfig as DenseConfig
from fitb_jax.extremal.dense import dense_masks as dense_masks
from fitb_jax.extremal.dense import fit_dense as fit_dense
from fitb_jax.extremal.dense import smooth_maximum as smooth_maximum
from fitb_jax.extremal.disjoint import Disjoint as Disjoint
from fitb_jax.extremal.disjoint import DisjointMethod as DisjointMethod
from fitb_jax.extremal.disjoint import binarise_apart as binarise_apart
from fitb_jax.extremal.disjoint import disjoint_masks as disjoint_masks
from fitb_jax.extremal.disjoint import pairwise_overlap as pairwise_overlap
from fitb_jax.extremal.inr import History as History
from fitb_jax.extremal.inr import Inr as Inr
from fitb_jax.extremal.inr import fit_inr as fit_inr
from fitb_jax.extremal.inr import inr_masks as inr_masks
from fitb_jax.extremal.inr import inr_saliency as inr_saliency
from fitb_jax.extremal.integrated_masks import IGOS as IGOS
from fitb_jax.extremal.integrated_masks import Igos as Igos
from fitb_jax.extremal.integrated_masks import IgosConfig as IgosConfig
from fitb_jax.extremal.integrated_masks import bilateral_variation as bilateral_variation
from fitb_jax.extremal.integrated_masks import fit_igos as fit_igos
from fitb_jax.extremal.joint_areas import joint_exact_areas as joint_exact_areas
from fitb_jax.extremal.mask_scores import MaskScores as MaskScores
from fitb_jax.extremal.mask_scores import probabilities_through as probabilities_through
from fitb_jax.extremal.mask_scores import score_masks as score_masks
from fitb_jax.extremal.neighbours import Neighbours as Neighbours
from fitb_jax.extremal.neighbours import nearest_neighbours as nearest_neighbours
from fitb_jax.extremal.out_of_sample import MaskJudgement as MaskJudgement
from fitb_jax.extremal.out_of_sample import judge_masks as judge_masks
from fitb_jax.extremal.reptile import reptile_init as reptile_init
from fitb_jax.extremal.reward import Variant as Variant
from fitb_jax.extremal.reward import rewards as rewards
from fitb_jax.extremal.sufficient import CONTROLS as CONTROLS
from fitb_jax.extremal.sufficient import SufficientRegion as SufficientRegion
from fitb_jax.extremal.sufficient import control_backgrounds as control_backgrounds
from fitb_jax.extremal.sufficient import sufficient_region as sufficient_region
from fitb_jax.renamed import renamed as _renamed

__getattr__ = _renamed(
    "fitb_jax.extremal",
    {
        "Certificate": "evaluation.Interval",
        "clopper_pearson": "evaluation.clopper_pearson",
        "crispness_penalty": "extremal.softness_penalty",
        "exact_shares": "extremal.joint_exact_areas",
        "meta_initial": "extremal.reptile_init",
        "nearest_on_region": "extremal.nearest_neighbours",
    },
)
