#!/usr/bin/env bash
# Makes the Python environment of this checkout if it is missing or stale, and prints its folder (nothing else goes to
# standard output):
#
#   prefix="$(scripts/environment.sh [--with dft|teacher|gpu]...)" && "$prefix/bin/python" ...
#
# Extras add up: they are remembered in .venvs/extras, and every later call makes an environment that has them.
#
# The environment is built in place (a venv cannot be moved) in .venvs/<key>/ and the link .venv is then switched to it.
# The key is a hash of the locks, the Python interpreter, the place of the checkout and the sources of mtpcore. A folder
# counts as built only when its file .complete, written last, names its own key, so a build that dies is never taken for
# a finished one and the older environments stay as they were.
#
# The lock (2.3 GB) and mtpcore (a few MB) change at very different rates. So when an environment with the same lock and
# interpreter exists, the new one starts as a copy of it made of hard links, which takes a second and no space, and only
# new extras, mtpcore and argyro are installed: pip replaces files and never writes into them, hence the donor is
# untouched. Of
# the installed files only those in bin/ name their folder; these are rewritten.
#
# ARGYRO_PYTHON  the Python 3.12 to build on; else python3.12 on PATH, else the newest 3.12 of pyenv
# ARGYRO_ENV     prefix of an existing environment (conda, module, container): used as it is, nothing is built
set -euo pipefail
shopt -s inherit_errexit

readonly debian_packages_by_library="
libGL.so.1         libgl1
libGLU.so.1        libglu1-mesa
libX11.so.6        libx11-6
libXcursor.so.1    libxcursor1
libXext.so.6       libxext6
libXfixes.so.3     libxfixes3
libXft.so.2        libxft2
libXinerama.so.1   libxinerama1
libXrender.so.1    libxrender1
libfontconfig.so.1 libfontconfig1
" # what gmsh's wheel expects of the system

note() {
    printf 'environment: %s\n' "$*" >&2
}

# Ends the script: the first argument says what is wrong, each further one is a line on what to do.
die() {
    note "error: $1"
    shift
    (($# == 0)) || printf '    %s\n' "$@" >&2
    exit 1
}

checkout() {
    cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P
}

# --- the interpreter -------------------------------------------------------------------------------------------------

# Why the given command cannot serve as the base of the environment; nothing if it can.
python_problem() {
    local version
    version="$("$1" -I -c 'import sys; print("%s %d.%d" % (sys.implementation.name, *sys.version_info[:2]))' \
        2>/dev/null)" || version="not a Python that runs"
    if [[ $version != "cpython 3.12" ]]; then
        printf 'is %s, not cpython 3.12\n' "$version"
    elif ! "$1" -I -c 'import ensurepip, venv' 2>/dev/null; then
        printf 'lacks the modules venv and ensurepip (Debian and Ubuntu: apt-get install python3.12-venv)\n'
    elif ! "$1" -I -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
        printf 'lacks its C headers (Debian and Ubuntu: apt-get install python3.12-dev)\n'
    fi
}

python_candidates() {
    command -v python3.12 || true # may be a shim of pyenv that does not run: the caller tries each
    find "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions" -maxdepth 3 -path '*/3.12.*/bin/python3.12' 2>/dev/null |
        sort --reverse --version-sort || true
}

readonly how_to_get_python=(
    "Get one with any of these, then run the same command again:"
    "  Ubuntu 24.04:  sudo apt-get install python3.12 python3.12-venv python3.12-dev"
    "  Fedora:        sudo dnf install python3.12-devel"
    "  pyenv:         pyenv install 3.12"
    "  conda:         conda create --yes --prefix ~/python3.12 --channel conda-forge python=3.12"
    "                 export ARGYRO_PYTHON=~/python3.12/bin/python3.12"
    "  uv:            uv python install 3.12"
    "                 export ARGYRO_PYTHON=\"\$(uv python find 3.12)\""
    "If you have a complete environment already, set ARGYRO_ENV to its prefix instead."
)

# Prints the interpreter to build on.
find_python() {
    local candidate problem
    local -a problems=()
    if [[ -n ${ARGYRO_PYTHON:-} ]]; then
        problem="$(python_problem "$ARGYRO_PYTHON")"
        [[ -z $problem ]] || die "ARGYRO_PYTHON=$ARGYRO_PYTHON $problem" "${how_to_get_python[@]}"
        printf '%s\n' "$ARGYRO_PYTHON"
        return
    fi
    while IFS= read -r candidate; do
        problem="$(python_problem "$candidate")"
        if [[ -z $problem ]]; then
            printf '%s\n' "$candidate"
            return
        fi
        problems+=("$candidate $problem")
    done < <(python_candidates)
    die "no usable Python 3.12 found" ${problems[@]+"${problems[@]}"} "${how_to_get_python[@]}"
}

# --- the keys --------------------------------------------------------------------------------------------------------

digest() {
    sha256sum | cut --characters=1-16
}

# Key of what is slow to install: the lock and the interpreter. Scripts in bin/ name their folder, hence the checkout.
base_key() {
    local root=$1 python=$2
    {
        printf '%s\n' "$root"
        "$python" -I -c 'import platform, sys; print(sys.base_prefix, platform.python_version())'
        cat -- "$root/envs/requirements.lock"
    } | digest
}

# Hashes of all files that a change of makes mtpcore another: not its tests, prose, caches and build folders.
mtpcore_sources() {
    cd -- "$1/mtpcore" || return
    find . \( -path ./tests -o -path ./build -o -path ./dist -o -name __pycache__ -o -name '.?*' \) -prune \
        -o -type f ! -name '*.md' -print0 | LC_ALL=C sort --zero-terminated | xargs --null sha256sum
}

# argyro is installed editable, so only its packaging counts.
argyro_packaging() {
    local tables='{key: project[key] for key in ("build-system", "project")} | {"tool": project["tool"]["setuptools"]}'
    "$2" -I -c "import sys, tomllib; project = tomllib.load(open(sys.argv[1], 'rb')); print($tables)" \
        "$1/pyproject.toml"
}

# What tells an extra from its earlier versions: its name and the hash of its lock.
extra_key() {
    printf '%s:%s\n' "$2" "$(digest <"$1/envs/$2.lock")"
}

# Key of the whole environment, from the checkout, the interpreter, the base key and the keys of its extras.
environment_key() {
    {
        printf '%s\n' "${@:3}"
        mtpcore_sources "$1"
        argyro_packaging "$1" "$2"
    } | digest
}

# --- the system ------------------------------------------------------------------------------------------------------

check_platform() {
    local glibc
    glibc="$(getconf GNU_LIBC_VERSION 2>/dev/null || printf 'glibc 0')"
    if [[ $(uname -sm) != "Linux x86_64" ]] ||
        ! printf '%s\n' "glibc 2.34" "$glibc" | sort --check=quiet --version-sort; then
        die "the pinned packages need Linux on x86-64 with glibc 2.34 or newer (Debian 12, Ubuntu 22.04, RHEL 9);" \
            "this is $(uname -sm), $glibc. Set ARGYRO_ENV to the prefix of an environment made by other means."
    fi
}

can_install_packages() {
    [[ $EUID -eq 0 && -e /etc/debian_version ]] && command -v apt-get >/dev/null
}

install_packages() {
    note "installing missing system packages: $*"
    apt-get update -qq >&2 &&
        DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends \
            -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

check_compiler() {
    local compiler=${CXX:-g++}
    command -v "${compiler%% *}" >/dev/null && return
    if [[ $compiler == g++ ]] && can_install_packages && install_packages g++; then
        return
    fi
    die "mtpcore is compiled here, and there is no C++ compiler '$compiler'. Run this, or set CXX to one you have:" \
        "sudo apt-get install g++"
}

# Prints "library package" for each library of the table that the interpreter cannot load.
missing_libraries() {
    "$1" -I -c '
import ctypes, sys
for line in sys.argv[1].strip().splitlines():
    try:
        ctypes.CDLL(line.split()[0])
    except OSError:
        print(line)
' "$debian_packages_by_library"
}

check_libraries() {
    local missing
    local -a libraries packages
    missing="$(missing_libraries "$1")"
    [[ -n $missing ]] || return 0
    mapfile -t libraries < <(awk '{print $1}' <<<"$missing")
    mapfile -t packages < <(awk '{print $2}' <<<"$missing")
    if can_install_packages && install_packages "${packages[@]}"; then
        return
    fi
    note "warning: gmsh (meshes of polycrystals) will not load without ${libraries[*]}. To get them:"
    printf '    %s\n' "sudo apt-get install ${packages[*]}" >&2
}

# --- building --------------------------------------------------------------------------------------------------------

# True if the given folder holds a finished environment of that base key.
is_complete() {
    local folder=$1 base=$2
    [[ -x $folder/bin/python && -r $folder/.complete ]] &&
        [[ "$(<"$folder/.complete") " == "${folder##*/} $base "* ]]
}

# The marker: key, base key and the keys of the extras.
mark_complete() {
    local folder=$1 # by renaming: the marker of a copy is at first a hard link to its donor's
    shift
    printf '%s\n' "${folder##*/} $*" >"$folder/.complete.new"
    mv --force -- "$folder/.complete.new" "$folder/.complete"
}

# Keys of the extras a finished environment holds.
extras_of() {
    cut --delimiter=' ' --fields=3- -- "$1/.complete" | tr ' ' '\n' | sed '/^$/d'
}

remove_unfinished() {
    local folder
    for folder in "$1"/.venvs/*/; do
        folder=${folder%/}
        [[ ! -d $folder || $(cut -d' ' -f1 "$folder/.complete" 2>/dev/null) == "${folder##*/}" ]] ||
            rm --recursive --force -- "$folder"
    done
}

# Prints the finished environment of the same base key that has most of the wanted extras and no other, the newest first.
find_donor() {
    local root=$1 base=$2 marker folder count donor="" most=-1
    shift 2
    while IFS= read -r marker; do
        folder=${marker%/.complete}
        is_complete "$folder" "$base" || continue
        [[ -z $(comm -13 <(printf '%s\n' "$@" | sort) <(extras_of "$folder" | sort)) ]] || continue
        count="$(extras_of "$folder" | wc --lines)"
        ((count <= most)) || { donor=$folder && most=$count; }
    done < <(find "$root/.venvs" -mindepth 2 -maxdepth 2 -name .complete -printf '%T@ %p\n' |
        sort --reverse --numeric-sort | cut --delimiter=' ' --fields=2-)
    printf '%s' "$donor"
}

copy_environment() {
    local donor=$1 folder=$2
    note "starting from $donor, which has the same locked packages"
    cp --archive --link -- "$donor" "$folder" 2>/dev/null || {
        rm --recursive --force -- "$folder" # a file system without hard links
        cp --archive -- "$donor" "$folder"
    }
    { grep --files-with-matches --null --binary-files=without-match --fixed-strings --directories=skip \
        ".venvs/${donor##*/}" "$folder"/bin/* "$folder/pyvenv.cfg" || true; } |
        xargs --null --no-run-if-empty sed --in-place "s|\.venvs/${donor##*/}|.venvs/${folder##*/}|g"
}

# Runs a command with its output in a log, whose end is shown if it fails.
logged() {
    local log=$1
    shift
    if ! "$@" </dev/null >>"$log" 2>&1; then
        tail --lines=60 -- "$log" >&2
        die "this failed: $*" "The whole log is $log"
    fi
}

# pip of the environment, whatever the user's settings say about where to install.
pip_install() {
    local folder=$1
    shift
    env --unset=PYTHONPATH --unset=PYTHONHOME --unset=PIP_TARGET --unset=PIP_PREFIX --unset=PIP_USER \
        PATH="$folder/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
        "$folder/bin/python" -m pip install "$@"
}

# What builds others goes first: some packages come as source only, and building them without isolation keeps every file
# that is run covered by a hash. Arguments: folder, lock, log, and an expression for the names.
install_first() {
    awk -v names="^($4)==" '/^[a-z0-9]/ {wanted = $0 ~ names} wanted' "$2" >"$1/first.lock"
    [[ ! -s $1/first.lock ]] || logged "$3" pip_install "$1" --require-hashes --no-deps -r "$1/first.lock"
}

install_locked() {
    local root=$1 python=$2 folder=$3 log=$4
    local lock=$root/envs/requirements.lock
    note "installing the locked packages into $folder (2.3 GB, some minutes; log: $log)"
    logged "$log" "$python" -m venv --prompt argyro "$folder"
    install_first "$folder" "$lock" "$log" 'pip|setuptools'
    logged "$log" pip_install "$folder" --require-hashes --no-build-isolation -r "$lock"
}

# The Debian packages an extra is built against or runs with.
extra_packages() {
    case $1 in
        dft) printf '%s\n' libxc-dev libopenblas-dev libfftw3-dev ;;
    esac
}

# GPAW is built serial: with MPI it would load the system's beside the environment's own.
gpaw_configuration() {
    printf '%s\n' "compiler = '${CXX:-g++}'" "mpi = False" "fftw = True" "libraries = ['xc', 'openblas', 'fftw3']"
}

missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep --quiet '^installed$' ||
            printf '%s\n' "$package"
    done
}

check_extra() {
    local -a wanted missing=()
    mapfile -t wanted < <(extra_packages "$1")
    ((${#wanted[@]})) && [[ -e /etc/debian_version ]] || return 0 # elsewhere the compiler says what it lacks
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    ((${#missing[@]} == 0)) || { can_install_packages && install_packages "${missing[@]}"; } ||
        die "the extra '$1' needs system packages that are not here. Run this, then the same command again:" \
            "sudo apt-get install ${missing[*]}"
}

install_extra() {
    local root=$1 folder=$2 log=$3 name=$4
    note "installing the extra '$name' (log: $log)"
    [[ $name != dft ]] || gpaw_configuration >"$folder/gpaw_siteconfig.py"
    install_first "$folder" "$root/envs/$name.lock" "$log" pybind11
    GPAW_CONFIG=$folder/gpaw_siteconfig.py \
        logged "$log" pip_install "$folder" --require-hashes --no-deps --no-build-isolation -r "$root/envs/$name.lock"
}

install_checkout() {
    local root=$1 folder=$2 log=$3
    note "building mtpcore"
    logged "$log" pip_install "$folder" --force-reinstall --no-deps --no-build-isolation "$root/mtpcore"
    logged "$log" pip_install "$folder" --force-reinstall --no-deps --no-build-isolation --editable "$root"
    logged "$log" "$folder/bin/python" -P -c 'import argyro, mtpcore'
}

# The arguments after the folder are the keys of the extras.
build_environment() {
    local root=$1 python=$2 base=$3 folder=$4 donor extra
    shift 4
    local log=$root/.venvs/${folder##*/}.log
    check_compiler
    for extra in "$@"; do check_extra "${extra%%:*}"; done
    remove_unfinished "$root"
    rm --recursive --force -- "$folder" # finished once, but its interpreter is gone
    : >"$log"
    donor="$(find_donor "$root" "$base" "$@")"
    if [[ -n $donor ]]; then
        copy_environment "$donor" "$folder"
    else
        install_locked "$root" "$python" "$folder" "$log"
    fi
    for extra in "$@"; do
        [[ -n $donor ]] && extras_of "$donor" | grep --quiet --line-regexp --fixed-strings -- "$extra" ||
            install_extra "$root" "$folder" "$log" "${extra%%:*}"
    done
    install_checkout "$root" "$folder" "$log"
    mark_complete "$folder" "$base" "$@"
}

switch_link() {
    local root=$1 key=$2
    [[ -L $root/.venv || ! -e $root/.venv ]] ||
        die "$root/.venv is not a link made by this script; move it away first"
    ln --symbolic --force --no-dereference -- ".venvs/$key" "$root/.venv.$$"
    mv --force --no-target-directory -- "$root/.venv.$$" "$root/.venv"
}

# --- which environment -----------------------------------------------------------------------------------------------

existing_environment() {
    local root=$1 prefix
    [[ -x $ARGYRO_ENV/bin/python ]] || die "ARGYRO_ENV=$ARGYRO_ENV is no environment: it has no bin/python"
    prefix="$(cd -- "$ARGYRO_ENV" && pwd)"
    "$prefix/bin/python" -P -c 'import argyro, mtpcore' >&2 ||
        die "the environment ARGYRO_ENV=$ARGYRO_ENV lacks argyro or mtpcore. Install them once, with a C++ compiler:" \
            "$prefix/bin/python -m pip install --no-deps '$root/mtpcore' --editable '$root'"
    printf '%s\n' "$prefix"
}

# Held until this script ends, and by a pip that outlives it: there are never two builds at once.
take_lock() {
    mkdir --parents -- "$1/.venvs"
    exec 9>"$1/.venvs/lock"
    flock --nonblock 9 || { note "another build is running here, waiting for it" && flock 9; }
}

# Adds the given extras to the remembered ones and prints the keys of all.
remember_extras() {
    local root=$1 name
    local -a names=()
    shift
    for name in "$@"; do
        [[ $name =~ ^[a-z]+$ && -r $root/envs/$name.lock ]] ||
            die "--with $name: there is no such extra; allowed: $(cd -- "$root/envs" && list_extras)"
    done
    mapfile -t names < <({ printf '%s\n' "$@" && cat -- "$root/.venvs/extras" 2>/dev/null; } | sed '/^$/d' | sort --unique)
    if (($#)); then
        mkdir --parents -- "$root/.venvs"
        printf '%s\n' "${names[@]}" >"$root/.venvs/extras.new"
        mv --force -- "$root/.venvs/extras.new" "$root/.venvs/extras"
    fi
    for name in ${names[@]+"${names[@]}"}; do extra_key "$root" "$name"; done
}

list_extras() {
    local lock names=""
    for lock in *.lock; do [[ $lock == requirements.lock ]] || names+="${names:+, }${lock%.lock}"; done
    printf '%s' "$names"
}

own_environment() {
    local root=$1 python base key folder keys
    local -a extras=()
    shift
    check_platform
    keys="$(remember_extras "$root" "$@")"
    [[ -z $keys ]] || mapfile -t extras <<<"$keys"
    python="$(find_python)"
    check_libraries "$python"
    base="$(base_key "$root" "$python")"
    key="$(environment_key "$root" "$python" "$base" ${extras[@]+"${extras[@]}"})"
    folder=$root/.venvs/$key
    if ! is_complete "$folder" "$base" || [[ $(readlink -- "$root/.venv") != ".venvs/$key" ]]; then
        take_lock "$root"
        is_complete "$folder" "$base" ||
            build_environment "$root" "$python" "$base" "$folder" ${extras[@]+"${extras[@]}"}
        switch_link "$root" "$key"
    fi
    printf '%s\n' "$folder"
}

main() {
    local root
    local -a extras=()
    root="$(checkout)"
    while (($#)); do
        [[ $1 == --with && -n ${2:-} ]] || die "'$*' is not understood; usage: environment.sh [--with EXTRA]..."
        extras+=("$2")
        shift 2
    done
    if [[ -n ${ARGYRO_ENV:-} ]]; then
        existing_environment "$root"
    else
        own_environment "$root" ${extras[@]+"${extras[@]}"}
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
