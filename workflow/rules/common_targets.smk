# What rules of targets need to know.
WANTED = {
    "bulk": "name bulk in dynamics.structures, such as '*-bulk-*'",
    "boundaries": "name boundaries in structures.bicrystals.build and in dynamics.structures",
    "polycrystal": "describe one in structures.polycrystals and name it in dynamics.structures",
}


def tables_of_boundaries(names):
    """Tables of relaxed boundaries, or polycrystals, of all materials."""
    return expand(
        "dynamics/boundaries/{material}-{name}-r{repeat}.parquet",
        material=MATERIALS,
        name=names,
        repeat=REPEATS,
    )


def measured_part(wildcards):
    """Measurements of all runs of a kind, and of bulk of their materials."""
    runs = PARTS[wildcards.target]
    if not runs:
        raise WorkflowError(
            f"the target {wildcards.target} has nothing to run with these settings: {WANTED[wildcards.target]}"
        )
    materials = {RUN_MATERIALS[name] for name in runs}
    beside = [name for name in PARTS["bulk"] if RUN_MATERIALS[name] in materials]
    return expand(
        f"{MEASURED}.parquet",
        run=dict.fromkeys([*runs, *beside]),
        repeat=REPEATS,
        temperature=DYNAMICS.temperatures_K,
    )
