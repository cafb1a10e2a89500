# What rules need to know: names of files, seeds, and the smallest part of the configuration that a job depends on.
from argyro.common.randomness import seed_for
from argyro.config.composition import parse_formula
from argyro.config.labels import LabelsConfig

NOTHING = "(?!)"  # a pattern that no name fits
ENVIRONMENT = str(ROOT / "envs/environment.yaml")
FIRST = 200  # priority of what all later stages wait for
MATERIALS = {material.id: material for material in settings.materials}
SYSTEMS = sorted({material.chemical_system for material in settings.materials})
SHAPE = "x".join(map(str, settings.structures.bulk.supercell))
BULK = [
    f"{material}-bulk-{SHAPE}-a{arrangement}"
    for material in MATERIALS
    for arrangement in range(settings.structures.bulk.arrangements)
]
SEEDS = settings.structures.seeds
LABEL_SETS = {f"{material}-seeds": SEEDS.total for material in MATERIALS if SEEDS.total}
BOUNDARIES = {b.name: b for b in settings.structures.bicrystals.chosen}
BICRYSTALS = [
    f"{material}-{boundary}-c{candidate}"
    for material in MATERIALS
    for boundary in BOUNDARIES
    for candidate in range(settings.structures.bicrystals.candidates)
]
GRAINS = {p.name: p for p in settings.structures.polycrystals}
POLYCRYSTALS = [f"{material}-{name}" for material in MATERIALS for name in GRAINS]
IMPORTS = {
    f"import-{number}": str(path) for number, path in enumerate(settings.labels.imports)
}


wildcard_constraints:
    material="|".join(map(re.escape, MATERIALS)),
    system="|".join({material.chemical_system for material in settings.materials}),
    set="|".join(map(re.escape, LABEL_SETS)) or NOTHING,
    boundary="|".join(map(re.escape, BOUNDARIES)) or NOTHING,
    candidate=r"\d+",
    polycrystal="|".join(map(re.escape, GRAINS)) or NOTHING,
    imported=r"import-\d+",
    generation=r"\d+",
    chunk=r"\d+",
    kind="bulk|bicrystal",
    temperature=r"\d+",


def settings_of(section):
    """Settings of a section as they go into the parameters of a job."""
    return section.model_dump(mode="json", by_alias=True)


def material_of(wildcards):
    """Settings of a job's material."""
    return settings_of(MATERIALS[wildcards.material])


def first_material_of_system(wildcards):
    """Settings of the first material of a chemical system."""
    return next(
        settings_of(m)
        for m in settings.materials
        if m.chemical_system == wildcards.system
    )


def seed_settings(wildcards):
    """Settings that seeds depend on."""
    others = set(type(SEEDS).model_fields) - {"kind", "supercell", "limits_factor"}
    unused = others - {"md", "contacts"} if SEEDS.kind == "md" else {"md"}
    return {
        "limits": settings_of(settings.structures.limits),
        "bulk": {"lithium_sites": settings.structures.bulk.lithium_sites},
        "seeds": SEEDS.model_dump(mode="json", exclude=unused),
    }


def seed_minutes(wildcards, attempt):
    """Time of molecular dynamics by the labelling backend: each attempt goes on where the last one ended."""
    return 1440


def boundary_of(wildcards):
    """Settings of a job's grain boundary."""
    return settings_of(BOUNDARIES[wildcards.boundary])


def polycrystal_of(wildcards):
    """Settings of a job's polycrystal."""
    return settings_of(GRAINS[wildcards.polycrystal])


def microstructure_seed(wildcards):
    """Seed of the grains of a polycrystal: the same for all materials."""
    return seed_for(settings.seed, "microstructure", wildcards.polycrystal)


def polycrystal_atoms(wildcards):
    """About how many atoms a polycrystal has, at 20 cubic angstrom each, if its file does not say more."""
    edge = GRAINS[wildcards.polycrystal].edge_angstrom or 400
    return edge**3 / 20


def polycrystal_memory(wildcards):
    """Memory of building a polycrystal, MB."""
    return 1000 + int(polycrystal_atoms(wildcards) / 1000)


def seed_of_job(*names):
    """A job's own random seed, from the campaign's, these names and the job's wildcards."""
    return lambda wildcards: seed_for(settings.seed, *names, *wildcards)


def label_store(wildcards):
    """Folder of finished labels."""
    return str(settings.labels.store or "labels")


def labelling_of_system(wildcards):
    """Settings of labels of a chemical system."""
    return settings.labels.labelling(set(parse_formula(wildcards.system)))


def labelling_of_material(wildcards):
    """Settings of labels of a material."""
    return settings.labels.labelling(set(MATERIALS[wildcards.material].composition))


def labelling_of_set(wildcards):
    """Settings of labels of a set."""
    return settings.labels.labelling(set(material_of_set(wildcards).composition))


def material_of_set(wildcards):
    """The material of a set of structures."""
    return MATERIALS[wildcards.set.removesuffix("-seeds")]


def sanity_test_of_material(wildcards):
    """Test of the backend on the chemical system of a material."""
    return f"labels/sanity/{MATERIALS[wildcards.material].chemical_system}.json"


def sanity_test_of_set(wildcards):
    """Test of the backend on the chemical system of a set."""
    return f"labels/sanity/{material_of_set(wildcards).chemical_system}.json"


def outcomes_of_set(wildcards):
    """Outcomes of all labelling jobs of a set."""
    jobs = -(-LABEL_SETS[wildcards.set] // settings.seeds_per_label_job)
    return expand(
        "labels/outcomes/{set}/{chunk}.json", set=wildcards.set, chunk=range(jobs)
    )


def imported_file(wildcards):
    """The user's file of ready labels."""
    return IMPORTS[wildcards.imported]


def materials_of_system(wildcards):
    """Settings of all materials of a chemical system."""
    return [
        settings_of(m)
        for m in settings.materials
        if m.chemical_system == wildcards.system
    ]


def species_of_system(wildcards):
    """Elements of a chemical system, in the order of its potential's species."""
    return next(
        m.elements for m in settings.materials if m.chemical_system == wildcards.system
    )
