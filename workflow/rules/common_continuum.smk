# What rules of the continuum stage need to know.
CONTINUUM = settings.continuum
CELLS = {cell.name: cell for cell in CONTINUUM.microstructures}
TESSELLATIONS = [
    (cell.name, number)
    for cell in CONTINUUM.microstructures
    for number in range(cell.tessellations)
]
PAIRS = str(
    CONTINUUM.diffusivity or ROOT / "config/reference/published_diffusivity.csv"
)
MAP_SETTINGS = {"map_contrast_max", "map_contrasts_per_decade"}
CROSSOVER_SETTINGS = {"crossover_min_K", "crossover_max_K"}
FILES = {"diffusivity", "diffusivity_samples", "microstructures", "fields"}
PLACE = {"gpu"}  # changes no result
FIELDS = {case.name: case for case in CONTINUUM.fields}


wildcard_constraints:
    cell="|".join(map(re.escape, CELLS)),
    tessellation=r"\d+",
    field="|".join(map(re.escape, FIELDS)) or NOTHING,


def continuum_settings(*omitted):
    """Settings of the stage without some, and without those that say which files are read, or where it runs."""
    return CONTINUUM.model_dump(mode="json", exclude=FILES.union(PLACE, *omitted))


def grains_of_cell(wildcards):
    """Settings of a microstructure."""
    return settings_of(CELLS[wildcards.cell])


def file_of_cell(wildcards):
    """The user's file of a microstructure, if it is one."""
    return str(CELLS[wildcards.cell].microstructure or "") or []


def settings_of_field(wildcards):
    """Settings of a case whose fields are written."""
    return settings_of(FIELDS[wildcards.field])


def grains_of_field(wildcards):
    """The microstructure of a case whose fields are written."""
    return f"continuum/{FIELDS[wildcards.field].microstructure}/t0/microstructure.json"


def number_of_tessellation(wildcards):
    """Number of a tessellation."""
    return int(wildcards.tessellation)


def of_all_tessellations(file):
    """A file of each tessellation of each microstructure."""
    return [f"continuum/{cell}/t{number}/{file}" for cell, number in TESSELLATIONS]


def voxel_memory(wildcards):
    """Memory of the largest grid, MB."""
    return 1500 + int(400e-6 * CONTINUUM.max_voxels**3)
