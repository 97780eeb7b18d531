"""What an experiment is, how it is found, run, continued, saved and reported."""

from experiments.core.experiment import Experiment as Experiment
from experiments.core.experiment import Options as Options
from experiments.core.experiment import Sweep as Sweep
from experiments.core.experiment import method_sweep as method_sweep
from experiments.core.experiment import unless_asked as unless_asked
from experiments.core.labelled import interval_variable as interval_variable
from experiments.core.labelled import with_notes as with_notes
