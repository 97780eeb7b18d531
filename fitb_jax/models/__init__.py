"""Classifiers, their training and their weights. No method of the package imports this."""

from fitb_jax.models.checkpoints import CheckpointError as CheckpointError
from fitb_jax.models.checkpoints import restore as restore
from fitb_jax.models.checkpoints import save as save
from fitb_jax.models.checkpoints import train_or_restore as train_or_restore
from fitb_jax.models.classifiers import Activation as Activation
from fitb_jax.models.classifiers import Architecture as Architecture
from fitb_jax.models.classifiers import ClassifierConfig as ClassifierConfig
from fitb_jax.models.classifiers import build as build
from fitb_jax.models.functional import as_logits_fn as as_logits_fn
from fitb_jax.models.functional import stack as stack
from fitb_jax.models.layers import features_of as features_of
from fitb_jax.models.layers import map_activations as map_activations
from fitb_jax.models.normalisation import Normalisation as Normalisation
from fitb_jax.models.pretrained import Pretrained as Pretrained
from fitb_jax.models.pretrained import load as load
from fitb_jax.models.pretrained import preprocess as preprocess
from fitb_jax.models.pretrained import untrained as untrained
from fitb_jax.models.tensor_pickle import WeightsError as WeightsError
from fitb_jax.models.torch_files import read_torch as read_torch
from fitb_jax.models.training import Trained as Trained
from fitb_jax.models.training import TrainingConfig as TrainingConfig
from fitb_jax.models.training import predict as predict
from fitb_jax.models.training import train as train
from fitb_jax.models.weight_files import read_weights as read_weights
