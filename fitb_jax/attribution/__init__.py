"""Attribution: published saliency methods to compare with, and inputs that maximise a class."""

from fitb_jax.attribution.cam import FeaturesOf as FeaturesOf
from fitb_jax.attribution.cam import attention_rollout as attention_rollout
from fitb_jax.attribution.cam import eigen_cam as eigen_cam
from fitb_jax.attribution.cam import grad_cam as grad_cam
from fitb_jax.attribution.cam import grad_cam_plus_plus as grad_cam_plus_plus
from fitb_jax.attribution.cam import layer_cam as layer_cam
from fitb_jax.attribution.cam import layer_gradient as layer_gradient
from fitb_jax.attribution.cam import score_cam as score_cam
from fitb_jax.attribution.embedding import Projection as Projection
from fitb_jax.attribution.embedding import chance_agreement as chance_agreement
from fitb_jax.attribution.embedding import neighbour_agreement as neighbour_agreement
from fitb_jax.attribution.embedding import principal_components as principal_components
from fitb_jax.attribution.embedding import tsne as tsne
from fitb_jax.attribution.gradients import IntegratedGradients as IntegratedGradients
from fitb_jax.attribution.gradients import gradient_magnitude as gradient_magnitude
from fitb_jax.attribution.gradients import input_x_gradient as input_x_gradient
from fitb_jax.attribution.gradients import integrated_gradients as integrated_gradients
from fitb_jax.attribution.gradients import (
    integrated_gradients_with_diagnostics as integrated_gradients_with_diagnostics,
)
from fitb_jax.attribution.modified_backprop import DeconvnetActivation as DeconvnetActivation
from fitb_jax.attribution.modified_backprop import GuidedActivation as GuidedActivation
from fitb_jax.attribution.modified_backprop import deconvnet as deconvnet
from fitb_jax.attribution.modified_backprop import guided_backpropagation as guided_backpropagation
from fitb_jax.attribution.noisy_gradients import smoothgrad as smoothgrad
from fitb_jax.attribution.noisy_gradients import smoothgrad_squared as smoothgrad_squared
from fitb_jax.attribution.noisy_gradients import vargrad as vargrad
from fitb_jax.attribution.perturbation import Normalise as Normalise
from fitb_jax.attribution.perturbation import mean_occlusion as mean_occlusion
from fitb_jax.attribution.perturbation import occlusion as occlusion
from fitb_jax.attribution.perturbation import rise as rise
from fitb_jax.attribution.perturbation import rise_mask as rise_mask
from fitb_jax.attribution.perturbation import silent_share as silent_share
from fitb_jax.attribution.reconstruction import Parametrisation as Parametrisation
from fitb_jax.attribution.reconstruction import Reconstruction as Reconstruction
from fitb_jax.attribution.reconstruction import ReconstructionConfig as ReconstructionConfig
from fitb_jax.attribution.reconstruction import noise_image as noise_image
from fitb_jax.attribution.reconstruction import reconstruct as reconstruct
from fitb_jax.attribution.reconstruction import reconstruct_classes as reconstruct_classes
