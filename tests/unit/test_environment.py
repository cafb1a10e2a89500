"""Claims about scripts/environment.sh, on small checkouts with stubs for the slow steps."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A stub of the slow steps: the "locked packages" are one script that names its folder.
STUBS = r"""
check_compiler() { :; }
check_libraries() { :; }
install_locked() {
    mkdir -p "$3/bin"
    ln -s "$2" "$3/bin/python"
    : > "$3/pyvenv.cfg"
    printf '#!%s/bin/python\n' "$3" > "$3/bin/tool"
    echo once >> "$1/installs"
}
install_mtpcore() { # as pip does: replaces files, never writes into them
    echo "$2" > "$1/mtpcore.new"
    mv "$1/mtpcore.new" "$1/mtpcore"
}
install_checkout() { install_mtpcore "$2" built; }
check_extra() { :; }
install_extra() {
    echo "$4" > "$2/new"
    mv "$2/new" "$2/extra-$4"
    echo "$4" >> "$1/extra_installs"
}
"""
DYING_BUILD = 'install_checkout() { install_mtpcore "$2" half; kill -KILL $$; }\n'
SLOW_BUILD = 'install_checkout() { sleep 0.3; install_mtpcore "$2" built; }\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout, in a folder with a space in its name."""
    root = tmp_path / "a checkout"
    for name, text in {
        "envs/requirements.lock": "pip==1.0 --hash=sha256:00\n",
        "envs/dft.lock": "gpaw==1.0 --hash=sha256:00\n",
        "envs/teacher.lock": "torch==1.0 --hash=sha256:00\n",
        "mtpcore/cpp/core.cpp": "int main() {}\n",
        "mtpcore/src/mtpcore/__init__.py": "",
        "mtpcore/tests/test_core.py": "",
        "mtpcore/README.md": "",
        "workflow/argyro/__init__.py": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/environment.sh", root / "scripts")
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def script(checkout: Path, stubs: str = STUBS, *, extras: tuple[str, ...] = (), **variables: str) -> list[str]:
    """The command that makes the environment of a checkout, with stubs and variables set."""
    settings = {"ARGYRO_PYTHON": sys.executable} | variables
    assignments = [f"{key}={value}" for key, value in settings.items()]
    words = " ".join(f"--with {extra}" for extra in extras)
    program = f'source "$1"\n{stubs}\nmain {words}\n'
    path = str(checkout / "scripts/environment.sh")
    return ["env", "--unset=ARGYRO_ENV", *assignments, "bash", "-c", program, "stubbed", path]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command away from the checkout."""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def make(checkout: Path, stubs: str = STUBS, *, extras: tuple[str, ...] = (), **variables: str) -> Path:
    """Make the environment of a checkout and return its folder."""
    done = run(script(checkout, stubs, extras=extras, **variables))
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return Path(line)


def installs(checkout: Path) -> int:
    """How often the locked packages were installed."""
    return len((checkout / "installs").read_text().split())


def test_environment_is_built_once_and_linked(checkout: Path) -> None:
    folder = make(checkout)
    assert folder.parent == checkout / ".venvs"
    assert (checkout / ".venv").resolve() == folder
    assert make(checkout) == folder
    assert installs(checkout) == 1


@pytest.mark.parametrize(
    "name",
    [
        "envs/requirements.lock",
        "mtpcore/cpp/core.cpp",
        "mtpcore/src/mtpcore/__init__.py",
        "mtpcore/src/mtpcore/new.py",
        "pyproject.toml",
    ],
)
def test_what_is_installed_decides_the_environment(checkout: Path, name: str) -> None:
    before = make(checkout)
    path = checkout / name
    text = path.read_text() if path.exists() else ""
    if name == "pyproject.toml":
        text = text.replace("[project]", '[project]\nkeywords = ["new"]')
    path.write_text(text + "\n# changed\n")
    after = make(checkout)
    assert after != before
    assert (checkout / ".venv").resolve() == after


@pytest.mark.parametrize(
    "name",
    [
        "mtpcore/tests/test_core.py",
        "mtpcore/README.md",
        "mtpcore/build/object.o",
        "mtpcore/src/mtpcore/__pycache__/core.pyc",
        "workflow/argyro/__init__.py",
        "pyproject.toml",
    ],
)
def test_what_needs_no_rebuild_keeps_the_environment(checkout: Path, name: str) -> None:
    before = make(checkout)
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write("\n# changed\n")
    assert make(checkout) == before


def test_changed_sources_do_not_install_the_lock_again(checkout: Path) -> None:
    before = make(checkout)
    (checkout / "mtpcore/cpp/core.cpp").write_text("int main() { return 1; }\n")
    after = make(checkout)
    assert installs(checkout) == 1
    assert (before / "bin/tool").read_text() == f"#!{before}/bin/python\n"
    assert (after / "bin/tool").read_text() == f"#!{after}/bin/python\n"


def test_changed_lock_installs_everything_anew(checkout: Path) -> None:
    make(checkout)
    (checkout / "envs/requirements.lock").write_text("pip==2.0 --hash=sha256:11\n")
    make(checkout)
    assert installs(checkout) == 2


def test_build_that_dies_leaves_the_old_environment(checkout: Path) -> None:
    before = make(checkout)
    (checkout / "mtpcore/cpp/core.cpp").write_text("int main() { return 1; }\n")
    assert run(script(checkout, STUBS + DYING_BUILD)).returncode != 0
    assert (checkout / ".venv").resolve() == before
    assert (before / "mtpcore").read_text() == "built\n"


def extras_in(folder: Path) -> list[str]:
    """The extras an environment holds."""
    return sorted(path.name.removeprefix("extra-") for path in folder.glob("extra-*"))


def test_extras_add_up_and_are_remembered(checkout: Path) -> None:
    bare = make(checkout)
    assert extras_in(make(checkout, extras=("dft",))) == ["dft"]
    both = make(checkout, extras=("teacher",))
    assert extras_in(both) == ["dft", "teacher"]
    assert make(checkout) == both
    assert extras_in(bare) == []


def test_extra_is_installed_on_top_of_what_is_there(checkout: Path) -> None:
    make(checkout, extras=("dft",))
    make(checkout, extras=("teacher",))
    (checkout / "mtpcore/cpp/core.cpp").write_text("int main() { return 1; }\n")
    make(checkout)
    assert installs(checkout) == 1
    assert (checkout / "extra_installs").read_text().split() == ["dft", "teacher"]


def test_changed_lock_of_an_extra_installs_it_anew(checkout: Path) -> None:
    make(checkout, extras=("dft", "teacher"))
    (checkout / "envs/dft.lock").write_text("gpaw==2.0 --hash=sha256:11\n")
    assert extras_in(make(checkout)) == ["dft", "teacher"]
    assert (checkout / "extra_installs").read_text().split() == ["dft", "teacher", "dft", "teacher"]


def test_unknown_extra_is_refused_with_the_known_ones(checkout: Path) -> None:
    done = run(script(checkout, extras=("torch",)))
    assert done.returncode != 0
    assert "--with torch: there is no such extra; allowed: dft, teacher" in done.stderr
    assert not (checkout / ".venvs").exists()


@pytest.mark.parametrize("has_donor", [False, True])
def test_half_built_folder_is_never_used(checkout: Path, *, has_donor: bool) -> None:
    if has_donor:
        make(checkout)
        (checkout / "mtpcore/cpp/core.cpp").write_text("int main() { return 1; }\n")
    assert run(script(checkout, STUBS + DYING_BUILD)).returncode != 0
    (half,) = (p.parent for p in checkout.glob(".venvs/*/mtpcore") if p.read_text() == "half\n")
    assert make(checkout) == half
    assert (half / "mtpcore").read_text() == "built\n"


def test_environment_whose_python_is_gone_is_built_again(checkout: Path) -> None:
    folder = make(checkout)
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to(checkout / "no-such-python")
    assert make(checkout) == folder
    assert (folder / "bin/python").exists()
    assert installs(checkout) == 2


def test_two_builds_at_once_make_one_environment(checkout: Path) -> None:
    command = script(checkout, STUBS + SLOW_BUILD)
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    assert results[0][0] == results[1][0]
    assert installs(checkout) == 1


def test_given_environment_is_used_as_it_is(checkout: Path) -> None:
    assert make(checkout, ARGYRO_ENV=sys.prefix) == Path(sys.prefix)
    assert not (checkout / ".venvs").exists()
    assert not (checkout / ".venv").is_symlink()


def test_given_environment_without_argyro_is_refused(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "bare/bin").mkdir(parents=True)
    (tmp_path / "bare/bin/python").symlink_to(os.path.realpath(sys.executable))
    done = run(script(checkout, ARGYRO_ENV=str(tmp_path / "bare")))
    assert done.returncode != 0
    assert done.stdout == ""
    assert "lacks argyro or mtpcore" in done.stderr
    assert "pip install --no-deps" in done.stderr


def test_given_environment_that_does_not_exist_is_refused(checkout: Path, tmp_path: Path) -> None:
    done = run(script(checkout, ARGYRO_ENV=str(tmp_path / "nothing")))
    assert done.returncode != 0
    assert "has no bin/python" in done.stderr


@pytest.mark.parametrize("answer", ["cpython 3.11", "cpython 3.13", "pypy 3.12", None])
def test_wrong_python_is_refused_with_the_way_to_a_right_one(
    checkout: Path, tmp_path: Path, answer: str | None
) -> None:
    python = tmp_path / "python"
    if answer is not None:
        python.write_text(f"#!/bin/sh\necho {answer}\n")
        python.chmod(0o755)
    done = run(script(checkout, ARGYRO_PYTHON=str(python)))
    assert done.returncode != 0
    assert done.stdout == ""
    assert f"ARGYRO_PYTHON={python} is {answer or 'not a Python that runs'}" in done.stderr
    assert "pyenv install 3.12" in done.stderr
    assert not (checkout / ".venvs").exists()


def test_python_is_found_in_the_folder_of_pyenv(checkout: Path, tmp_path: Path) -> None:
    versions = tmp_path / "pyenv/versions"
    for version in ("3.11.9", "3.12.2", "3.12.10"):
        (versions / version / "bin").mkdir(parents=True)
        (versions / version / "bin/python3.12").symlink_to(os.path.realpath(sys.executable))
    stubs = 'python_problem() { [[ $1 == *3.12.10* ]] || echo "is another"; }; main() { find_python; }'
    done = run(script(checkout, stubs, ARGYRO_PYTHON="", PYENV_ROOT=str(tmp_path / "pyenv")))
    assert done.stdout.strip() == str(versions / "3.12.10/bin/python3.12")


def test_missing_compiler_is_a_clear_error(checkout: Path) -> None:
    stubs = "can_install_packages() { false; }; main() { check_compiler; }"
    done = run(script(checkout, stubs, CXX="no-such-compiler"))
    assert done.returncode != 0
    assert "no C++ compiler 'no-such-compiler'" in done.stderr


def test_missing_library_names_the_line_to_run(checkout: Path) -> None:
    stubs = """
    can_install_packages() { false; }
    missing_libraries() { printf 'libGLU.so.1 libglu1-mesa\\nlibXft.so.2 libxft2\\n'; }
    main() { check_libraries python3; }
    """
    done = run(script(checkout, stubs))
    assert done.returncode == 0
    assert "sudo apt-get install libglu1-mesa libxft2" in done.stderr


def test_lock_covers_the_requirements_and_names_no_host() -> None:
    lock = (ROOT / "envs/requirements.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n +--hash=sha256:", lock, re.MULTILINE))
    assert len(locked) == len(re.findall(r"^[^\s#]", lock, re.MULTILINE))
    wanted = (ROOT / "envs/requirements.in").read_text()
    for name, version in re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==(\S+)", wanted, re.MULTILINE):
        assert locked[name] == version
    assert re.search(r"://|--(extra-)?index|--find-links", lock) is None


@pytest.mark.parametrize("extra", ["dft", "teacher", "gpu"])
def test_extra_adds_to_the_environment_and_to_other_extras_and_changes_nothing_of_them(extra: str) -> None:
    pinned = re.compile(r"^([a-z0-9-]+)(?:\[\w+\])?==([^\s;]+)", re.MULTILINE)
    locks = {path.stem: dict(pinned.findall(path.read_text())) for path in (ROOT / "envs").glob("*.lock")}
    added = locks.pop(extra)
    assert dict(pinned.findall((ROOT / f"envs/{extra}.in").read_text())).items() <= added.items()
    assert {
        name: version
        for name, version in added.items()
        for lock in locks.values()
        if lock.get(name, version) != version
    } == {}
    text = (ROOT / f"envs/{extra}.lock").read_text()
    assert len(re.findall(r"==\S+(?: ; .*)? \\\n +--hash=sha256:", text)) == len(added)
