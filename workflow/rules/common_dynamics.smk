# What rules of dynamics need to know.
from itertools import product

from argyro.config.dynamics import SIDE_BY_SIDE

DYNAMICS = settings.dynamics
RELAXATION = "dynamics/{structure}/r{repeat}/relaxation/{replica}"
RUN = "dynamics/{run}/r{repeat}/{temperature}K/{replica}"
REPEATS = range(LEARNING.repeats)
IS_ON_GPU = DYNAMICS.engine != "lammps"
# There all temperatures and replicas of a structure are one job; the user's LAMMPS takes one run at a time
ARE_SIDE_BY_SIDE = DYNAMICS.engine in SIDE_BY_SIDE
RUNS_OF_JOB = (
    "{run}-r{repeat}"
    if ARE_SIDE_BY_SIDE
    else "{run}-r{repeat}-{temperature}K-{replica}"
)
RELAXED = [*BULK, *BICRYSTALS, *POLYCRYSTALS]
KEPT = {
    f"{material}-{boundary}-k{rank}": material
    for material in MATERIALS
    for boundary in BOUNDARIES
    for rank in range(DYNAMICS.relaxation.keep)
} | {name: MATERIAL_OF[name] for name in POLYCRYSTALS}
RUNS = DYNAMICS.chosen([*BULK, *KEPT])
RUN_MATERIALS = {name: MATERIAL_OF[name] for name in BULK} | KEPT


wildcard_constraints:
    run="|".join(map(re.escape, RUN_MATERIALS)),
    replica=r"\d+",


def relaxed_files(structures, repeat, suffix):
    """Files of all relaxations of some structures."""
    return expand(
        "dynamics/{structure}/r{repeat}/relaxation/{replica}/{suffix}",
        structure=structures,
        repeat=repeat,
        replica=range(DYNAMICS.relaxation.replicas),
        suffix=suffix,
    )


def bulk_of(material):
    """Names of a material's bulk cells."""
    return [name for name in BULK if MATERIAL_OF[name] == material]


def bulk_relaxations(wildcards):
    """Relaxations of bulk that a structure's cell and energy are compared with; none for bulk itself."""
    if wildcards.structure in BULK:
        return []
    bulk = bulk_of(MATERIAL_OF[wildcards.structure])
    return relaxed_files(bulk, wildcards.repeat, "relaxation.json")


def potential_of_structure(wildcards):
    """The potential of a structure's chemical system."""
    name = wildcards.get("structure") or wildcards.run
    material = MATERIALS[RUN_MATERIALS.get(name) or MATERIAL_OF[name]]
    return f"learning/{material.chemical_system}/r{wildcards.repeat}/potential.almtp"


def settings_of_structure(wildcards):
    """Settings of a structure's material."""
    name = wildcards.get("structure") or wildcards.run
    return settings_of(MATERIALS[RUN_MATERIALS.get(name) or MATERIAL_OF[name]])


def species_of_structure(wildcards):
    """Elements of a structure's chemical system, in the order of its potential's species."""
    name = wildcards.get("structure") or wildcards.run
    return MATERIALS[RUN_MATERIALS.get(name) or MATERIAL_OF[name]].elements


def inputs_of_choice(candidates, material, repeat):
    """Relaxations of the candidates of a boundary, or of a polycrystal, and of bulk."""
    bulk = bulk_of(material)
    return {
        "structures": expand("structures/{c}.extxyz", c=candidates),
        "microstructures": expand("structures/{c}.microstructure.json", c=candidates),
        "records": relaxed_files(candidates, repeat, "relaxation.json"),
        "relaxed": relaxed_files(candidates, repeat, "relaxed.extxyz"),
        "bulk": relaxed_files(bulk, repeat, "relaxation.json"),
        "perfect": f"structures/{bulk[0]}.extxyz",
    }


def candidates_of_boundary(wildcards):
    """What the structures of a boundary that are kept are chosen from."""
    count = settings.structures.bicrystals.candidates
    names = [f"{wildcards.material}-{wildcards.boundary}-c{c}" for c in range(count)]
    return inputs_of_choice(names, wildcards.material, wildcards.repeat)


def relaxations_of_polycrystal(wildcards):
    """What the start of a polycrystal is chosen from."""
    name = f"{wildcards.material}-{wildcards.polycrystal}"
    return inputs_of_choice([name], wildcards.material, wildcards.repeat)


def start_of_run(wildcards):
    """The structure that a run starts from: bulk as it was built, others relaxed."""
    if wildcards.run in BULK:
        return f"structures/{wildcards.run}.extxyz"
    return f"dynamics/{wildcards.run}/r{wildcards.repeat}/start.extxyz"


def reports_of_runs(runs):
    """Reports of all runs of some structures."""
    return expand(
        f"{RUN}/report.json",
        run=runs,
        repeat=REPEATS,
        temperature=DYNAMICS.temperatures_K,
        replica=range(DYNAMICS.replicas),
    )


def reports_of_system(wildcards):
    """Reports of all runs of a chemical system."""
    return reports_of_runs(
        run
        for run in RUNS
        if MATERIALS[RUN_MATERIALS[run]].chemical_system == wildcards.system
    )


def reports_of_job():
    """Reports that a job of runs writes."""
    if not ARE_SIDE_BY_SIDE:
        return [f"{RUN}/report.json"]
    return expand(
        f"{RUN}/report.json",
        temperature=DYNAMICS.temperatures_K,
        replica=range(DYNAMICS.replicas),
        allow_missing=True,
    )


def cases_of_job(wildcards):
    """Temperature, replica and seed of each run of a job, in the order of its reports."""
    names = [(wildcards.get("temperature"), wildcards.get("replica"))]
    if ARE_SIDE_BY_SIDE:
        names = product(DYNAMICS.temperatures_K, range(DYNAMICS.replicas))
    return [
        {
            "temperature": int(temperature),
            "replica": int(replica),
            "seed": seed_for(
                settings.seed,
                "dynamics",
                wildcards.run,
                wildcards.repeat,
                temperature,
                replica,
            ),
        }
        for temperature, replica in names
    ]


def run_parameters(wildcards):
    """Settings that a run depends on."""
    omitted = {"structures", "temperatures_K", "replicas", "relaxation"}
    omitted |= {"kokkos"} if DYNAMICS.engine != "kokkos" else set()
    return DYNAMICS.model_dump(mode="json", exclude=omitted)


def run_minutes(wildcards, attempt):
    """Time of a run, generous; a run that needs more goes on from its last checkpoint."""
    return 60 * attempt
