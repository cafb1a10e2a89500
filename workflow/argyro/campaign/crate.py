"""A campaign's results as a Workflow Run RO-Crate: ``ro-crate-metadata.json`` beside them.

Source: Leo et al., Recording provenance of workflow runs with RO-Crate, PLoS ONE 19, e0309210 (2024); profiles Process,
Workflow and Workflow Run at https://w3id.org/ro/wfrun.
"""

import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAME = "ro-crate-metadata.json"
WORKFLOW = "Snakefile"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
LICENCE = "https://spdx.org/licenses/MIT"
type Entity = dict[str, Any]


def crate(folder: Path, manifest: dict[str, Any]) -> Entity:
    """The metadata of a campaign's results.

    Args:
        folder: Of the campaign; it holds ``config.yaml`` and a copy of the Snakefile.
        manifest: From `argyro.campaign.manifest`.
    """
    results = [entry for kind in ("potentials", "labels", "tables", "figures") for entry in manifest[kind]]
    outputs = [_file(entry) for entry in results]
    own = [{"@id": name, "@type": "File", "name": text} for name, text in _own_files(folder).items()]
    end = _time(folder, [folder / entry["path"] for entry in results])
    name = f"Results of the Argyro campaign {manifest['campaign']}"
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": name,
        "description": "Lithium transport in argyrodites, from labels to polycrystals: potentials, tables and figures.",
        "datePublished": end,
        "license": {"@id": LICENCE},
        "conformsTo": [{"@id": profile} for profile in PROFILES],
        "mainEntity": {"@id": WORKFLOW},
        "hasPart": [{"@id": each["@id"]} for each in [{"@id": WORKFLOW}, *own, *outputs]],
        "mentions": [{"@id": "#run"}],
    }
    return {
        "@context": CONTEXT,
        "@graph": [_descriptor(), root, *_software(manifest), *own, *outputs, _run(own, outputs, end, name)],
    }


def _own_files(folder: Path) -> dict[str, str]:
    """Files beside the results that are there, and what they are."""
    texts = {
        "config.yaml": "The whole configuration",
        "manifest.json": "Hashes of all results, seeds and software",
        "report.html": "Report with figures",
    }
    return {name: text for name, text in texts.items() if (folder / name).exists()}


def _time(folder: Path, files: list[Path]) -> str:
    """When the newest of some files was written, or the configuration."""
    seconds = max((file.stat().st_mtime for file in [folder / "config.yaml", *files] if file.exists()), default=0.0)
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _descriptor() -> Entity:
    return {
        "@id": NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": [
            {"@id": "https://w3id.org/ro/crate/1.1"},
            {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
        ],
    }


def _software(manifest: dict[str, Any]) -> list[Entity]:
    """The workflow, its language, the profiles and the licence."""
    version = manifest["software"].get("snakemake", "")
    return [
        {
            "@id": WORKFLOW,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": "Argyro",
            "programmingLanguage": {"@id": "#snakemake"},
            "version": manifest["software"]["argyro"],
            "license": {"@id": LICENCE},
        },
        {
            "@id": "#snakemake",
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "url": {"@id": "https://snakemake.readthedocs.io"},
            "version": version,
        },
        *(
            {"@id": url, "@type": "CreativeWork", "name": name, "version": url.rpartition("/")[2]}
            for url, name in PROFILES.items()
        ),
        {"@id": LICENCE, "@type": "CreativeWork", "name": "MIT License"},
    ]


def _file(entry: dict[str, Any]) -> Entity:
    kind = mimetypes.guess_type(entry["path"])[0] or "application/octet-stream"
    return {
        "@id": entry["path"],
        "@type": "File",
        "contentSize": str(entry["bytes"]),
        "encodingFormat": kind,
        "sha256": entry["sha256"],
    }


def _run(own: list[Entity], outputs: list[Entity], end: str, name: str) -> Entity:
    """The run: by the workflow, from the configuration to the results."""
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": name,
        "instrument": {"@id": WORKFLOW},
        "object": [{"@id": each["@id"]} for each in own if each["@id"] == "config.yaml"],
        "result": [{"@id": each["@id"]} for each in outputs],
        "endTime": end,
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }
