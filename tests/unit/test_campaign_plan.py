"""Plans: schedules, costs from earlier runs, and rounds behind checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from argyro.campaign import actual, plan, plan_command, rounds
from argyro.campaign.costs import SHIPPED, Measured, calibrated, read_benchmark, read_costs, seconds_of, write_costs
from argyro.campaign.plan import planned
from argyro.campaign.schedule import schedule, seconds_to_the_end
from argyro.campaign.work import CELL_ATOMS, GPU_START, SECONDS_PER_LABEL, Work, cost_of_level
from argyro.common.errors import FileError
from argyro.common.files import read_json
from argyro.config.load import load_files, preset_file
from argyro.config.model import Config


@dataclass(frozen=True)
class Job:
    """A job of a schedule."""

    seconds: float
    after: tuple[int, ...] = ()
    threads: int = 1


@pytest.fixture(scope="module")
def config() -> Config:
    return load_files(preset_file("quickstart"))


# --- schedules -------------------------------------------------------------------------------------------------------


def test_longest_chain_counts_once_what_chains_share() -> None:
    diamond = [Job(1), Job(5, (0,)), Job(2, (0,)), Job(3, (1, 2))]
    assert seconds_to_the_end(diamond) == [9, 8, 5, 3]
    assert schedule(diamond).seconds == 9


def test_schedule_on_one_core_takes_all_the_time_there_is() -> None:
    jobs = [Job(1), Job(5, (0,)), Job(2, (0,)), Job(3, (1, 2)), Job(4)]
    assert schedule(jobs, 1).seconds == 15
    assert schedule(jobs, 1).peak_cores == 1


def test_no_schedule_beats_its_longest_chain_or_its_cores() -> None:
    jobs = [Job(1 + n % 3, tuple({n // 2, n // 3}) if n > 3 else (), 1 + n % 4) for n in range(60)]
    work = sum(job.seconds * job.threads for job in jobs)
    for cores in (4, 7, 100):
        found = schedule(jobs, cores)
        assert found.seconds >= max(*seconds_to_the_end(jobs), work / cores)
        assert found.peak_cores <= cores


def test_job_larger_than_the_machine_takes_it_whole() -> None:
    assert schedule([Job(2, threads=16), Job(1)], 4).seconds == 3


def test_independent_jobs_are_busy_at_once() -> None:
    assert schedule([Job(1, threads=3)] * 5).peak_cores == 15


def test_jobs_that_wait_for_each_other_are_found() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        seconds_to_the_end([Job(1, (1,)), Job(1, (0,))])


# --- costs -----------------------------------------------------------------------------------------------------------


def test_calibrated_costs_give_back_the_total_of_each_rule(tmp_path: Path) -> None:
    ran = [
        Measured("run", work, 99.0, seconds, seconds, 200, 1)
        for work, seconds in ((10, 8.0), (100, 44.0), (1000, 700.0))
    ]
    write_costs(tmp_path / "costs.csv", calibrated(ran, {"run": 2}), "a comment")
    cost = read_costs(tmp_path / "costs.csv")["run"]
    assert 2 * sum(seconds_of(cost, job.work) for job in ran) == pytest.approx(752, rel=1e-3)
    assert cost.jobs == 3
    assert cost.memory_mb == 200


def test_benchmark_file_of_a_short_job_without_processor_time_is_read(tmp_path: Path) -> None:
    file = tmp_path / "b.tsv"
    file.write_text("s\th:m:s\tmax_rss\tcpu_time\n0.4\t0:00:00\tNA\tNA\n")
    assert read_benchmark(file) == (0.4, 0.4, 0.0)
    assert read_benchmark(tmp_path / "none.tsv") is None


def test_broken_table_of_costs_is_named(tmp_path: Path) -> None:
    (tmp_path / "costs.csv").write_text("rule,jobs\nx,1\n")
    with pytest.raises(FileError, match=r"costs.csv is no table of costs"):
        read_costs(tmp_path / "costs.csv")


def test_shipped_costs_cover_learning_and_dynamics() -> None:
    costs = read_costs(SHIPPED)
    assert {"fit_potential", "explore", "select_environments", "run_dynamics", "relax_structure"} <= set(costs)
    assert all(cost.start_s >= 0 and cost.per_work_s >= 0 and cost.jobs > 0 for cost in costs.values())


# --- work ------------------------------------------------------------------------------------------------------------


def test_higher_levels_cost_more() -> None:
    costs = [cost_of_level(level) for level in range(2, 29, 2)]
    assert costs == sorted(costs)
    assert cost_of_level(8) == 0.62
    assert 1.08 < cost_of_level(14) < 2.2


def test_atoms_of_bulk_are_exact_and_those_of_boundaries_near(config: Config) -> None:
    work = Work(config)
    assert work.atoms("Li6PS5Cl-50-bulk-2x2x2-a0") == 8 * CELL_ATOMS
    assert work.atoms("Li6PS5I-S3_1-12-c0") == work.atoms("Li6PS5I-S3_1-12-k0")
    assert work.atoms("Li6PS5I-S3_1-12-c0") == pytest.approx(312, rel=0.35)  # the boundary that the quickstart builds


def test_a_run_of_twice_the_length_is_twice_the_work(config: Config) -> None:
    wildcards = {"run": "Li6PS5I-bulk-2x2x2-a0"}
    dynamics = config.dynamics
    duration = 2 * dynamics.production_ps + dynamics.equilibration_ps
    longer = load_files(preset_file("quickstart"), [f"dynamics.production_ps={duration}"])
    assert Work(longer).of("run_dynamics", wildcards) == pytest.approx(2 * Work(config).of("run_dynamics", wildcards))


def test_every_step_of_seeds_by_dynamics_is_a_label_and_their_frames_need_none() -> None:
    chosen = ["structures.seeds={kind: md, contacts: 3}", "structures.seeds.md.duration_ps=1", "labels.backend=vasp"]
    chosen += ["labels.vasp={version: 6.4.3, potentials: here}"]
    work = Work(load_files(preset_file("quickstart"), chosen))
    vasp = SECONDS_PER_LABEL["vasp"][0]
    assert work.of("sample_seeds", {"material": "Li6PS5I"}) == pytest.approx(500 * vasp)
    labels = [work.of("label", {"set": "Li6PS5I-seeds", "chunk": str(chunk)}) for chunk in range(25 + 3)]
    assert labels[:25] == [0] * 25
    assert min(labels[25:]) >= vasp
    without_contacts = load_files(preset_file("quickstart"), [*chosen, "structures.seeds.contacts=0"])
    assert without_contacts.seeds_per_label_job == 25
    assert Work(without_contacts).of("label", {"set": "Li6PS5I-seeds", "chunk": "0"}) == 0


def test_runs_on_a_gpu_cost_hours_of_a_gpu_that_grow_with_atoms_and_steps(config: Config) -> None:
    # 16 systems of 416 atoms took 34 s of an H100 for 105 000 steps
    settings = ["dynamics.engine=gpu", "dynamics.production_ps=108", "dynamics.temperatures_K=[600,700,800,900]"]
    on_gpu = load_files(preset_file("quickstart"), [*settings, "dynamics.replicas=4"])
    work, wildcards = Work(on_gpu), {"run": "Li6PS5I-bulk-2x2x2-a0", "repeat": "0"}
    steps = (on_gpu.dynamics.production_ps + on_gpu.dynamics.equilibration_ps) / on_gpu.dynamics.timestep_ps
    seconds = work.seconds_on_gpu("run_dynamics", wildcards)
    assert seconds is not None
    assert (seconds - GPU_START) / steps == pytest.approx(34 / 105_000, rel=0.2)
    assert Work(config).seconds_on_gpu("run_dynamics", wildcards) is None
    job = {"rule": "run_dynamics", "wildcards": wildcards, "benchmark": "benchmarks/dynamics/x.tsv", "threads": 1}
    job |= {"gpu": 1, "mem_mb": 4000, "after": []}
    (one,) = planned([job], work, read_costs(SHIPPED))
    assert (one.seconds, one.gpu) == (seconds, 1)
    assert work.bytes_written("run_dynamics", wildcards) > 15 * Work(config).bytes_written("run_dynamics", wildcards)


def test_a_run_by_kokkos_is_the_work_of_a_run_on_one_core(config: Config) -> None:
    asked = ["dynamics.engine=kokkos", "dynamics.temperatures_K=[500, 700]", "dynamics.replicas=3", "dynamics.ranks=4"]
    work, wildcards = Work(load_files(preset_file("quickstart"), asked)), {"run": "Li6PS5I-bulk-2x2x2-a0"}
    assert config.dynamics.ranks == 1
    for of in (Work.of, Work.bytes_written):
        assert of(work, "run_dynamics", wildcards) == pytest.approx(of(Work(config), "run_dynamics", wildcards))


def test_explorers_on_a_gpu_share_the_steps_of_a_card() -> None:
    wildcards = {"system": "LiPSI", "repeat": "0", "level": "6", "round": "0", "part": "0"}
    seconds = []
    for count in (1, 3):
        asked = ["learning.exploration.engine=gpu", f"learning.exploration.samplers_per_job={count}"]
        own = Work(load_files(preset_file("quickstart"), asked)).seconds_on_gpu("explore", wildcards)
        assert own is not None
        seconds.append(own - GPU_START)
    assert seconds[0] < seconds[1] < 2 * seconds[0]


# --- rounds ----------------------------------------------------------------------------------------------------------


def graph_before_the_first_run() -> list[dict[str, Any]]:
    """What Snakemake shows of one potential: its first round, and what waits for the last."""
    here = {"system": "LiPSI", "repeat": "0"}
    names = ("fit_potential", "explore", "select_environments", "finish_potential", "run_dynamics")
    own = [{"level": "6", "round": "0"}, {"level": "6", "round": "0", "part": "0"}, {"level": "6", "round": "0"}, {}]
    wildcards = [here | extra for extra in own] + [{"run": "Li6PS5I-bulk-2x2x2-a0"}]
    return [
        {
            "rule": rule,
            "wildcards": w,
            "threads": 1,
            "mem_mb": 1,
            "gpu": 0,
            "outputs": [],
            "benchmark": "benchmarks/s/x",
        }
        | {"after": [number - 1] if number else []}
        for number, (rule, w) in enumerate(zip(names, wildcards, strict=True))
    ]


def test_explorers_on_gpus_are_planned_as_such_in_every_round(config: Config) -> None:
    graph = graph_before_the_first_run()
    graph[1]["gpu"] = 1
    whole = planned(rounds.with_rounds(graph, config, Work(config), rounds.expected), Work(config), {})
    assert sum(job.rule == "explore" for job in whole) > 1
    assert {(job.rule == "explore", job.gpu) for job in whole} == {(True, 1), (False, 0)}


@pytest.mark.parametrize("of", [rounds.fewest, rounds.expected, rounds.most])
def test_rounds_are_chained_and_what_follows_waits_for_the_last(config: Config, of: Callable[..., int]) -> None:
    graph = graph_before_the_first_run()
    work = Work(config)
    whole = rounds.with_rounds(graph, config, work, of)
    counts = [of(rung, first=position == 0) for position, rung in enumerate(config.learning.ladder)]
    assert sum(job["rule"] == "select_environments" for job in whole) == sum(counts)
    assert sum(job["rule"] == "fit_potential" for job in whole) == sum(counts)
    jobs = planned(whole, work, {})
    assert [job.exact for job in jobs] == [True] * len(graph) + [False] * (len(whole) - len(graph))
    chain = [Job(float(job.rule == "fit_potential"), job.after) for job in jobs]
    assert schedule(chain).seconds == sum(counts), "all fits of a potential follow each other"
    assert max(seconds_to_the_end([Job(1.0, job.after) for job in jobs])) >= 3 * sum(counts) + 2


@pytest.mark.parametrize("of", [rounds.fewest, rounds.expected, rounds.most])
def test_bounds_cost_what_the_rounds_cost_one_by_one(config: Config, of: Callable[..., int]) -> None:
    graph, work, costs = graph_before_the_first_run(), Work(config), read_costs(SHIPPED)
    jobs = planned(rounds.with_rounds(graph, config, work, of), work, costs)[len(graph) :]
    count, hours = rounds.cost_of_rounds(graph, config, work, of, lambda job: planned([job], work, costs)[0].core_hours)
    assert count == len(jobs)
    assert hours == pytest.approx(sum(job.core_hours for job in jobs))


def test_no_round_is_added_where_nothing_is_learned(config: Config) -> None:
    graph = [job for job in graph_before_the_first_run() if job["rule"] == "run_dynamics"]
    graph[0]["after"] = []
    assert rounds.with_rounds(graph, config, Work(config), rounds.most) == graph


# --- plan against actual ---------------------------------------------------------------------------------------------


def ran(folder: Path, rule: str, threads: int, wall: float, processor: float) -> dict[str, Any]:
    """A job of a graph that has run, with its benchmark file."""
    stage = {"build_bulk": "structures", "run_dynamics": "dynamics", "solve_voxels": "continuum"}[rule]
    file = folder / f"benchmarks/{stage}/{rule}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"s\tmax_rss\tcpu_time\n{wall}\t400\t{processor}\n")
    wildcards = {"run": "Li6PS5I-bulk-2x2x2-a0", "material": "Li6PS5I"}
    job = {"rule": rule, "wildcards": wildcards, "threads": threads, "mem_mb": 1000, "gpu": 0, "after": []}
    return job | {"outputs": [], "benchmark": str(file.relative_to(folder))}


@pytest.mark.parametrize(
    ("rule", "threads", "processor", "expected"),
    [
        ("build_bulk", 1, 12.0, 30.0),  # a program that it started was not seen to its end
        ("build_bulk", 1, 31.0, 31.0),
        ("run_dynamics", 4, 50.0, 120.0),  # ranks
        ("solve_voxels", 8, 100.0, 100.0),  # threads of its own, fewer than 8 where there are fewer cores
    ],
)
def test_a_job_costs_what_it_held(tmp_path: Path, rule: str, threads: int, processor: float, expected: float) -> None:
    config = load_files(preset_file("quickstart"))
    ((_, found),) = actual.measured(config, [ran(tmp_path, rule, threads, 30.0, processor)], tmp_path)
    assert (found.core_seconds, found.busy_seconds, found.memory_mb) == (expected, processor, 400)


def test_plan_lies_in_the_campaigns_folder_and_is_compared_after_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path))
    folder = tmp_path / "quickstart"
    graph = [ran(folder, "build_bulk", 1, 36.0, 9.0), ran(folder, "solve_voxels", 8, 3.6, 9.0)]
    graph.append(graph[0] | {"benchmark": "benchmarks/structures/not-yet.tsv"})
    for module in (plan, actual):
        monkeypatch.setattr(module, "read_graph", lambda *_: graph)
    assert plan_command.main(["quickstart"]) == 0
    content = read_json(folder / plan_command.NAME)
    keys = ("stage", "jobs", "exact")
    assert [[row[key] for key in keys] for row in content["stages"]] == [
        ["structures", 2, True],
        ["continuum", 1, True],
    ]
    assert content["actual"] is None
    assert sum(row["core_hours"] for row in content["rules"]) == pytest.approx(content["total"]["core_hours"])

    assert plan_command.main(["quickstart", "--actual"]) == 0
    again = read_json(folder / plan_command.NAME)
    assert again["stages"] == content["stages"]
    rows = {row["stage"]: row for row in again["actual"]["stages"]}
    assert rows["structures"]["core_hours"] == pytest.approx(0.01)
    assert rows["structures"]["planned_core_hours"] == content["stages"][0]["core_hours"]
    assert (rows["structures"]["jobs"], rows["structures"]["jobs_of"]) == (1, 2)
    (bulk, _) = again["actual"]["rules"]
    assert (bulk["rule"], bulk["mem_mb"], bulk["runtime"]) == ("build_bulk", 600, 5)
    assert "build_bulk" in capsys.readouterr().out


def test_campaign_that_never_ran_cannot_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path))
    monkeypatch.setattr(plan, "read_graph", lambda *_: graph_before_the_first_run())
    assert plan_command.main(["quickstart", "--actual"]) == plan_command.EXIT_WRONG_INPUT
    assert "has not run yet" in capsys.readouterr().err
