from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from argyro.campaign.attempts import let_resources_grow
from argyro.common.errors import ConfigError
from argyro.config.load import load_mapping

min_version("9.27")

ROOT = Path(workflow.basedir)


configfile: str(ROOT / "config/default.yaml")


try:
    settings = load_mapping(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None


# Written by scripts/run when all jobs are done: what the report begins with
if Path("overview.rst").exists():

    report: str(Path("overview.rst").absolute())


include: "workflow/rules/common.smk"
include: "workflow/rules/structures.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/common_learning.smk"
include: "workflow/rules/learning.smk"
include: "workflow/rules/common_dynamics.smk"
include: "workflow/rules/dynamics.smk"
include: "workflow/rules/common_transport.smk"
include: "workflow/rules/transport.smk"
include: "workflow/rules/common_continuum.smk"
include: "workflow/rules/continuum.smk"
include: "workflow/rules/common_figures.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/common_targets.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/common_reference.smk"
include: "workflow/rules/reference.smk"


rule all:
    default_target: True
    input:
        rules.structures.input,
        rules.labels.input,
        rules.learning.input,
        rules.dynamics.input,
        rules.transport.input,
        rules.continuum.input,
        rules.figures.input,


let_resources_grow(workflow.rules)
