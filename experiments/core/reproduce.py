"""Run every experiment that takes minutes at most, and write one page with all figures."""

import dataclasses
import logging
import time
from pathlib import Path

from tqdm.auto import tqdm

from experiments.core import discovery, running
from experiments.core.artefact import is_current
from experiments.core.experiment import Options
from experiments.core.report import write_report
from fitb_jax import checks

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Config(Options):
    """Options of `reproduce`; all but `force` and `only` go to every experiment.

    Attributes:
        only: names of the experiments to run; none means all.
        force: run again what already has these options, versions, device and commit.
    """

    only: tuple[str, ...] = ()
    force: bool = False


def run(config: Config) -> Path:
    """Run every experiment that is not already up to date, and write the report."""
    start = time.monotonic()
    every = discovery.experiments()
    for name in config.only:
        checks.check_choice("only", name, every)
    chosen = [one for name, one in every.items() if name in (config.only or every)]
    shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(Options)}
    with tqdm(chosen, desc="reproduce", disable=not config.progress) as bar:
        for listed in bar:
            bar.set_description(listed.regenerates)
            experiment = discovery.load(listed)
            default = experiment.default(smoke=config.smoke, full=config.full)
            options = dataclasses.replace(default, **shared)
            if reason := experiment.left_out(options):
                _LOG.info("%s is left out: %s", listed.name, reason)
                continue
            is_wanted = config.plot_only or config.plan or config.force
            if not is_wanted and is_current(config.results / listed.name, options):
                _LOG.info("%s is up to date", listed.name)
                continue
            running.run(listed, experiment, options, command=command_line(listed.name, options))
    if config.plan:
        return config.results
    report = write_report(config.results)
    _LOG.info("%s written after %.0f s", report, time.monotonic() - start)
    return report


def command_line(name: str, options: Options) -> str:
    """The command that runs one experiment with these shared options."""
    words = ["python -m experiments", name]
    words += [f"--{flag}" for flag in ("smoke", "full") if getattr(options, flag)]
    words += ["--data-dir", str(options.data_dir)] if options.data_dir else []
    words += ["--photographs", options.photographs] if options.photographs != "skimage" else []
    words += ["--photo-dir", str(options.photo_dir)] if options.photo_dir else []
    words += ["--seed", str(options.seed)] if options.seed else []
    return " ".join(words)
