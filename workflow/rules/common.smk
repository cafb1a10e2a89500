# What the rules of several stages share: names, seeds and the smallest part of the configuration that a job depends on.
from argyro.common.randomness import seed_for

ENVIRONMENT = str(ROOT / "envs/environment.yaml")
MATERIALS = {material.id: material for material in settings.materials}


wildcard_constraints:
    material="|".join(map(re.escape, MATERIALS)),
    system="|".join({material.chemical_system for material in settings.materials}),


def material_of(wildcards):
    """Settings of a job's material."""
    return MATERIALS[wildcards.material].model_dump(mode="json")


def settings_of(section):
    """Settings of a section as they go into the parameters of a job."""
    return section.model_dump(mode="json", by_alias=True)
