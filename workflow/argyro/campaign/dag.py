"""All jobs of a campaign as Snakemake sees them before anything runs. Run as a program, by `argyro.campaign.plan`.

Snakemake's interface knows no such list, so this takes the graph that its dry run is made of.
"""

import sys
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.enums import Quietness, RerunTrigger
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

from argyro.common.files import write_json

MANY_CORES = 10**6  # so that no job's threads are cut down


def jobs_of(snakefile: Path, folder: Path, config_file: Path, targets: frozenset[str]) -> list[dict[str, Any]]:
    """All jobs of a campaign, those that are done included.

    Args:
        snakefile: The workflow.
        folder: The campaign's; what lies behind checkpoints is known for those that have run there.
        config_file: The whole configuration.
        targets: What is to be made; everything if empty.

    Returns:
        Per job its rule, wildcards, threads, mem_mb, gpu, benchmark, outputs and the numbers of the jobs before it.
    """
    output = OutputSettings(quiet={Quietness.ALL}, dryrun=True)
    with SnakemakeApi(output) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=MANY_CORES),
            config_settings=ConfigSettings(configfiles=[config_file]),
            snakefile=snakefile,
            workdir=folder,
        )
        # Settings changed since a job ran do not hide what lies behind its checkpoint
        workflow.dag(dag_settings=DAGSettings(targets=set(targets), rerun_triggers=frozenset({RerunTrigger.MTIME})))
        inner = workflow._workflow  # noqa: SLF001  the version is pinned
        inner._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True)  # noqa: SLF001
        inner._build_dag()  # noqa: SLF001
        graph = inner.dag
        jobs = [job for job in graph.jobs if job.rule.benchmark is not None]  # not those that only gather files
        numbers = {job: number for number, job in enumerate(jobs)}
        return [_describe(job, [numbers[d] for d in graph.dependencies[job] if d in numbers]) for job in jobs]


def _describe(job: Any, after: list[int]) -> dict[str, Any]:
    resources = job.resources
    return {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "threads": int(resources["_cores"]),
        "mem_mb": _number(resources.get("mem_mb")),
        "gpu": _number(resources.get("gpu")),
        "benchmark": str(job.benchmark),
        "outputs": [str(name) for name in job.output],
        "after": after,
    }


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


if __name__ == "__main__":
    snakefile, folder, config_file, result, *targets = sys.argv[1:]
    found = jobs_of(Path(snakefile), Path(folder), Path(config_file), frozenset(targets))
    write_json(Path(result), found)
