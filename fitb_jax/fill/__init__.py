"""Fill in the blanks: how would a classifier fill in the hidden part of an image?"""

from fitb_jax.fill.fidelity_scores import Fidelity as Fidelity
from fitb_jax.fill.fidelity_scores import fidelity as fidelity
from fitb_jax.fill.fidelity_scores import hidden_correlation as hidden_correlation
from fitb_jax.fill.filling import DEFAULT_QUANTILE as DEFAULT_QUANTILE
from fitb_jax.fill.filling import DEFAULT_STEP as DEFAULT_STEP
from fitb_jax.fill.filling import Mode as Mode
from fitb_jax.fill.filling import fill as fill
from fitb_jax.fill.filling import progressive as progressive
from fitb_jax.fill.filling import step as step
from fitb_jax.fill.filling import threshold as threshold
from fitb_jax.fill.prototypes import Moments as Moments
from fitb_jax.fill.prototypes import Prototype as Prototype
from fitb_jax.fill.prototypes import class_prototypes as class_prototypes
from fitb_jax.fill.prototypes import expected_update as expected_update
from fitb_jax.fill.prototypes import measure as measure
from fitb_jax.fill.prototypes import merge as merge
from fitb_jax.fill.prototypes import nearest_prototype as nearest_prototype
from fitb_jax.fill.prototypes import summarise as summarise
from fitb_jax.fill.updates import Method as Method
from fitb_jax.fill.updates import Order as Order
from fitb_jax.fill.updates import SecondOrder as SecondOrder
from fitb_jax.fill.updates import first_order as first_order
from fitb_jax.fill.updates import first_order_all_classes as first_order_all_classes
from fitb_jax.fill.updates import resolve_order as resolve_order
from fitb_jax.fill.updates import second_order as second_order
from fitb_jax.fill.updates import second_order_with_diagnostics as second_order_with_diagnostics
