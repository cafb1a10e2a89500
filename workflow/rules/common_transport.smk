# What rules of transport need to know.
TRANSPORT = settings.transport
EXTRA_FILES = {
    "rdf": "rdf.parquet",
    "density": "density.cube",
    "extxyz": "trajectory.extxyz",
}


def reports_of_replicas(wildcards):
    """Reports of all replicas of a structure at a temperature."""
    return expand(
        "dynamics/{run}/r{repeat}/{temperature}K/{replica}/report.json",
        **wildcards,
        replica=range(DYNAMICS.replicas),
    )


def grains_of_run(wildcards):
    """Grains of a bicrystal or polycrystal as it was relaxed."""
    if wildcards.run in BULK:
        return []
    return [f"dynamics/{wildcards.run}/r{wildcards.repeat}/microstructure.json"]


def boundary_of_run(wildcards):
    """Name of the boundary or polycrystal of a run; none of bulk."""
    if wildcards.run in BULK:
        return "none"
    name = wildcards.run.removeprefix(f"{RUN_MATERIALS[wildcards.run]}-")
    return name if name in GRAINS else name.rsplit("-", 1)[0]


def transport_settings(wildcards):
    """Settings that the measurements of a run depend on."""
    omitted = {"extras", "extxyz_frames", "mixture_widths_angstrom", "extrapolation_K"}
    return TRANSPORT.model_dump(mode="json", exclude=omitted)
