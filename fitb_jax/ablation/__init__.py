"""Large ablations: a function of a point and a grid of named axes -> labelled arrays on disk."""

from fitb_jax.ablation.axes import Axis as Axis
from fitb_jax.ablation.axes import looped as looped
from fitb_jax.ablation.axes import static as static
from fitb_jax.ablation.axes import vmapped as vmapped
from fitb_jax.ablation.devices import join_hosts as join_hosts
from fitb_jax.ablation.devices import point_mesh as point_mesh
from fitb_jax.ablation.fields import Field as Field
from fitb_jax.ablation.fields import Reduction as Reduction
from fitb_jax.ablation.inspection import Failure as Failure
from fitb_jax.ablation.inspection import failures as failures
from fitb_jax.ablation.inspection import forget_failures as forget_failures
from fitb_jax.ablation.inspection import verify as verify
from fitb_jax.ablation.running import Plan as Plan
from fitb_jax.ablation.running import PointError as PointError
from fitb_jax.ablation.running import plan as plan
from fitb_jax.ablation.running import run as run
from fitb_jax.ablation.store import StoreError as StoreError
from fitb_jax.renamed import renamed

__getattr__ = renamed(__name__, {"batched": "ablation.vmapped", "structural": "ablation.static"})
