# shellcheck shell=bash
# Finds what the installation needs from the system: a Python, a JDK, a compiler, the MySQL client's headers.
# Sourced by install.sh. Every find_* prints a path, or nothing and fails.

# runs PYTHON X.Y - is it that version, and can it make environments? Python 3.9 needs the headers too: CellProfiler's
# dependencies are compiled. A pyenv shim on the PATH is there and still fails, so it is tried by running it.
runs() {
    "$1" - "$2" >/dev/null 2>&1 <<'PY'
import ensurepip, os, sys, sysconfig, venv
version = "%d.%d" % sys.version_info[:2]
headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
sys.exit(not (version == sys.argv[1] and (headers or version != "3.9")))
PY
}

# base_of PYTHON - what it was made from, where it is an environment's own (an activated .venv leads the PATH)
base_of() {
    "$1" -c 'import sys; own = sys.prefix != sys.base_prefix; print(sys.base_prefix + "/bin/python%d.%d" % sys.version_info[:2] if own else sys.executable)'
}

# pythons X.Y - every place where such a Python may be, one a line, the most explicit first
pythons() {
    local base
    type -aP "python$1" || true
    ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python 2>/dev/null | sort -rV || true
    if command -v uv >/dev/null; then uv python find --system "$1" 2>/dev/null || true; fi
    for base in "${CONDA_PREFIX:-}" "$(command -v conda >/dev/null && conda info --base 2>/dev/null)" "$HOME"/{miniforge3,mambaforge,miniconda3,anaconda3}; do
        if [ -n "$base" ]; then ls "$base/bin/python$1" "$base"/envs/*/bin/python"$1" 2>/dev/null || true; fi
    done
    ls "/opt/homebrew/bin/python$1" "/usr/local/bin/python$1" "/usr/bin/python$1" \
        "/Library/Frameworks/Python.framework/Versions/$1/bin/python$1" 2>/dev/null || true
}

# find_python X.Y - the first of them that runs; uv, where it is there, may fetch one
find_python() {
    local python
    while read -r python; do
        if runs "$python" "$1"; then base_of "$python"; return; fi
    done < <(pythons "$1")
    command -v uv >/dev/null && uv python install "$1" >/dev/null 2>&1 || return 1
    python=$(uv python find --system "$1" 2>/dev/null) && runs "$python" "$1" && echo "$python"
}

# the Pythons that requirements/engine.txt is for, the preferred one first
ENGINE_PYTHONS="3.12 3.13 3.11 3.10"

# the Pythons that requirements/screen.txt is for
SCREEN_PYTHONS="3.12 3.13 3.11"

find_engine_python() {
    local version
    for version in $ENGINE_PYTHONS; do
        find_python "$version" && return
    done
    return 1
}

# is_jdk FOLDER - does it hold the compiler and the library that programs load? (Java 8 keeps the latter elsewhere.)
is_jdk() {
    [ -x "$1/bin/javac" ] && [ -n "$(ls "$1"/lib/server/libjvm.* "$1"/jre/lib/server/libjvm.* "$1"/jre/lib/*/server/libjvm.* 2>/dev/null)" ]
}

# jdks - every place where a JDK may be; 17 is the one that CellProfiler was tested with here
jdks() {
    local javac
    echo "${JAVA_HOME:-}"
    if [ -x /usr/libexec/java_home ]; then
        /usr/libexec/java_home -v 17 2>/dev/null || /usr/libexec/java_home 2>/dev/null || true
    fi
    ls -d /usr/lib/jvm/*17* /opt/homebrew/opt/openjdk@17/libexec/openjdk.jdk/Contents/Home 2>/dev/null || true
    javac=$(readlink -f "$(command -v javac)" 2>/dev/null) && dirname "$(dirname "$javac")"
    ls -d /usr/lib/jvm/* /usr/java/* "${CONDA_PREFIX:-/nowhere}"/{lib/jvm,} 2>/dev/null || true
}

find_jdk() {
    local jdk
    while read -r jdk; do
        if [ -n "$jdk" ] && is_jdk "$jdk"; then echo "$jdk"; return; fi
    done < <(jdks)
    return 1
}

# missing_system - what the system lacks for building CellProfiler's dependencies, in words
missing_system() {
    find_jdk >/dev/null || echo "a Java development kit (JDK)"
    command -v g++ >/dev/null || command -v clang++ >/dev/null || echo "a C++ compiler"
    command -v mysql_config >/dev/null || command -v mariadb_config >/dev/null || echo "the MySQL client's headers"
    command -v pkg-config >/dev/null || echo "pkg-config"
}

is_root_on_debian() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

# how_to_install_system - one line for this system
how_to_install_system() {
    if command -v apt-get >/dev/null; then
        echo "sudo apt-get install default-jdk-headless default-libmysqlclient-dev pkg-config g++"
    elif command -v dnf >/dev/null; then
        echo "sudo dnf install java-17-openjdk-devel mariadb-connector-c-devel pkgconf-pkg-config gcc-c++"
    elif [ "$(uname -s)" = Darwin ]; then
        echo "xcode-select --install; brew install openjdk@17 mysql-client pkg-config, and put mysql-client's bin on the PATH"
    else
        echo "install OpenJDK 17, the headers of the MySQL or MariaDB client, pkg-config and g++ with your system's packages"
    fi
}

# how_to_install_python X.Y - one line for this system
how_to_install_python() {
    if command -v conda >/dev/null; then
        echo "conda create -n python$1 python=$1"
    elif command -v pyenv >/dev/null; then
        echo "pyenv install $1"
    elif command -v dnf >/dev/null; then
        echo "sudo dnf install python$1"
    elif command -v brew >/dev/null; then
        echo "brew install python@$1"
    else
        echo "install uv (https://docs.astral.sh/uv), which fetches it by itself"
    fi
}
