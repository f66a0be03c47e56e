#!/usr/bin/env bash
# Makes the environments of NucDL, on Linux and macOS. `make` calls it; it can be called by hand too:
#
#   tools/install.sh           .venv: Python 3.9, CellProfiler, PyTorch, the engine, the development tools
#   tools/install.sh engine    .venv-engine: a newer Python with current libraries, the engine, no CellProfiler
#   tools/install.sh screen    .venv-screen: Snakemake, which runs screens
#   tools/install.sh gui       wxPython into .venv, where ../shared/wheels holds a wheel that fits (for tests/gui)
#
# PYTHON=path chooses the Python 3.9 of .venv, PYTHON_ENGINE=path the newer one of .venv-engine, PYTHON_SCREEN=path that
# of .venv-screen, JAVA_HOME the JDK.
#
# Each step that has succeeded leaves a stamp in the environment, with the checksum of the files that it depends on.
# So a second run does nothing, a run after an interruption goes on with the step that was interrupted, and a
# changed requirements file repeats the steps that it concerns.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
R=requirements
PROJECT="setup.cfg nucdl_core/__init__.py"
source tools/find.sh

say() { echo "$*" >&2; }

# stop MESSAGE... - what is wrong and what to do, in one line
stop() {
    say "install: $*"
    exit 1
}

# ---- steps and their stamps ----

# enter FOLDER - the environment that the following is about
enter() {
    VENV=$PWD/$1
    STAMPS=$VENV/.nucdl
    LOG=$STAMPS/install.log
}

# stamp FILE... - what a step depends on: where the environment lies, and the contents of the files
stamp() {
    echo "$VENV"
    cksum "$@"
}

# is_done STEP FILE...
is_done() {
    [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$(stamp "${@:2}")" ]
}

# step NAME "what it does" "FILE ..." COMMAND... - runs COMMAND, its output in the log, unless it is done already
step() {
    local name=$1 title=$2 files=$3 begun=$SECONDS
    shift 3
    # shellcheck disable=SC2086  # several file names in one word
    if is_done "$name" $files; then return; fi
    printf '  %s ... ' "$title" >&2
    echo "== $title" >>"$LOG"
    rm -f "$STAMPS/$name"
    "$@" >>"$LOG" 2>&1 </dev/null || failed
    # shellcheck disable=SC2086
    stamp $files >"$STAMPS/$name"
    say "done ($((SECONDS - begun)) s)"
}

failed() {
    say "failed. The log ends with:"
    tail -n 15 "$LOG" | sed 's/^/    /' >&2
    say "  The whole log: $LOG"
    say "  If the network or the disk is to blame (each environment takes 8 GB), mend that; the same command then goes on here."
    exit 1
}

interrupted() {
    say ""
    say "interrupted; the same command goes on from here"
    exit 130
}

# begin "what is installed" - announces it, and keeps two installations into one environment apart (not on macOS)
begin() {
    say "$1"
    mkdir -p "$STAMPS"
    command -v flock >/dev/null || return 0
    exec 9>"$STAMPS/lock"
    flock -n 9 || { say "  waiting for another installation ..."; flock 9; }
}

# ---- environments ----

# usable X.Y - the environment runs, has this Python, and its commands point to where it lies now
usable() {
    "$VENV/bin/python" -c "import pip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" >/dev/null 2>&1 &&
        head -n 3 "$VENV/bin/pip" 2>/dev/null | grep -qF "$VENV/bin/"
}

# make_room X.Y - clears an environment of ours that was moved, copied or damaged, and never one that we did not make
make_room() {
    if [ ! -e "$VENV" ] || usable "$1"; then return; fi
    [ -d "$STAMPS" ] || stop "$VENV is no environment of Python $1; move it away or delete it, then run this again"
    rm -rf "$VENV"
}

# create PYTHON X.Y - the empty environment
create() {
    usable "$2" || "$1" -m venv "$VENV"
}

pip_install() {
    discard_half_installed
    "$VENV/bin/python" -m pip install --progress-bar off "$@"
}

# pip writes INSTALLER as one of the last files of a package, so a package without it was cut off in the middle
discard_half_installed() {
    local info
    for info in "$VENV"/lib/python*/site-packages/*.dist-info; do
        if [ -d "$info" ] && [ ! -e "$info/INSTALLER" ]; then rm -rf "$info"; fi
    done
}

# ---- .venv ----

explicit_or_found_python() {
    if [ -n "${PYTHON:-}" ]; then
        runs "$PYTHON" 3.9 || stop "PYTHON=$PYTHON is not a Python 3.9 that runs, with venv and the headers (Python.h)"
        base_of "$PYTHON"
    else
        find_python 3.9 || stop "no Python 3.9 (with venv and headers) found: $(how_to_install_python 3.9); or name one with PYTHON=path"
    fi
}

require_system() {
    local missing
    missing=$(missing_system | paste -sd ',' - | sed 's/,/, /g')
    if [ -z "$missing" ]; then return; fi
    is_root_on_debian || stop "missing: $missing. Install: $(how_to_install_system)"
    step system "system packages ($missing)" tools/find.sh apt_install default-jdk-headless default-libmysqlclient-dev pkg-config g++
    missing=$(missing_system)
    [ -z "$missing" ] || stop "still missing: $missing"
}

apt_install() {
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# remember_java JDK - CellProfiler's bridge to Java reads JAVA_HOME, in the commands of .venv/bin, in their worker
# processes and in the tests. A .pth file is read whenever the environment's Python starts, whichever way, so one line
# there serves them all, and nobody has to export anything. (A wrapper around .venv/bin/cellprofiler would serve only
# that one; a sitecustomize.py is hidden where the system's Python has its own.) A JAVA_HOME that exists comes first.
remember_java() {
    "$VENV/bin/python" - "$1" <<'PY'
import sys, sysconfig
with open(sysconfig.get_path("purelib") + "/nucdl_java.pth", "w") as file:
    file.write(
        "import os; os.path.isdir(os.environ.get('JAVA_HOME', '')) or os.environ.update(JAVA_HOME=%r)\n" % sys.argv[1]
    )
PY
    echo "$1" >"$STAMPS/java_home"
}

# try_cellprofiler - do the parts work together, Java included?
try_cellprofiler() {
    "$VENV/bin/python" -c "
import cellprofiler_core.pipeline, torch, nucdl_core
from cellprofiler_core.utilities.java import start_java, stop_java
start_java()
stop_java()"
}

install_cellprofiler() {
    local python jdk all="$R/build.txt $R/torch.txt $R/cellprofiler.txt $R/tools.txt $PROJECT"
    enter .venv
    # shellcheck disable=SC2086
    if is_done complete $all && usable 3.9 && is_jdk "$(cat "$STAMPS/java_home" 2>/dev/null)"; then return; fi
    python=$(explicit_or_found_python)
    make_room 3.9
    begin "Installing CellProfiler and NucDL into $VENV (once, some minutes)"
    rm -f "$STAMPS/complete"
    require_system
    jdk=$(find_jdk)
    export JAVA_HOME=$jdk
    step create "environment of $("$python" --version)" $R/build.txt create "$python" 3.9
    step build "build tools" $R/build.txt pip_install -r $R/build.txt
    step torch "PyTorch, the largest part" $R/torch.txt pip_install -r $R/torch.txt
    step cellprofiler "CellProfiler and its libraries" $R/cellprofiler.txt \
        pip_install --no-deps --no-build-isolation -r $R/cellprofiler.txt
    step tools "tests and checks" $R/tools.txt pip_install --no-deps -r $R/tools.txt
    step project "NucDL" "$PROJECT" pip_install --no-deps --no-build-isolation -e .
    remember_java "$jdk"
    step complete "trying it, with Java from $jdk" "$all" try_cellprofiler
}

# ---- .venv-engine ----

# What the environment takes, with the packages that wait in the temporary folder until all are there.
ENGINE_GB=10

# free_gb FOLDER - whole gigabytes that are left on its disk
free_gb() {
    df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'
}

# choose_engine_python - an explicit one, or the one found; none is no error, since .venv tests the engine too
choose_engine_python() {
    local version
    if [ -z "${PYTHON_ENGINE:-}" ]; then find_engine_python; return; fi
    for version in $ENGINE_PYTHONS; do
        if runs "$PYTHON_ENGINE" "$version"; then base_of "$PYTHON_ENGINE"; return; fi
    done
    stop "PYTHON_ENGINE=$PYTHON_ENGINE does not run or is none of Python $ENGINE_PYTHONS"
}

install_engine() {
    local python version="" all="$R/engine.txt $PROJECT"
    enter .venv-engine
    # shellcheck disable=SC2086
    if is_done complete $all && usable "$(cat "$STAMPS/python" 2>/dev/null)"; then return; fi
    if ! python=$(choose_engine_python); then
        [ -z "${PYTHON_ENGINE:-}" ] || exit 1
        say "No Python 3.10 to 3.13 found, so the engine is tested with Python 3.9 only ($(how_to_install_python 3.12))."
        return
    fi
    if [ ! -e "$STAMPS/engine" ] && [ "$(free_gb .)" -lt $ENGINE_GB ]; then
        say "$(free_gb .) GB of disk are left and a second environment needs $ENGINE_GB, so the engine is tested with Python 3.9 only."
        return
    fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    make_room "$version"
    begin "Installing the engine without CellProfiler into $VENV (once, some minutes)"
    rm -f "$STAMPS/complete"
    echo "$version" >"$STAMPS/python"
    step create "environment of $("$python" --version)" $R/engine.txt create "$python" "$version"
    step engine "PyTorch and current libraries" $R/engine.txt pip_install -r $R/engine.txt
    step project "NucDL" "$PROJECT" pip_install --no-deps --no-build-isolation -e .
    step complete "trying it" "$all" "$VENV/bin/python" -c "import torch, nucdl_core"
}

# ---- .venv-screen ----

# choose_screen_python - an explicit one, or the one found
choose_screen_python() {
    local version
    for version in $SCREEN_PYTHONS; do
        if [ -z "${PYTHON_SCREEN:-}" ]; then
            find_python "$version" && return
        elif runs "$PYTHON_SCREEN" "$version"; then
            base_of "$PYTHON_SCREEN" && return
        fi
    done
    [ -z "${PYTHON_SCREEN:-}" ] || stop "PYTHON_SCREEN=$PYTHON_SCREEN does not run or is none of Python $SCREEN_PYTHONS"
    stop "Snakemake needs a Python 3.11 to 3.13 and none was found: $(how_to_install_python 3.12); or name one with PYTHON_SCREEN=path"
}

install_screen() {
    local python version
    enter .venv-screen
    if is_done complete $R/screen.txt && usable "$(cat "$STAMPS/python" 2>/dev/null)"; then return; fi
    python=$(choose_screen_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    make_room "$version"
    begin "Installing Snakemake into $VENV (once, about a minute)"
    rm -f "$STAMPS/complete"
    echo "$version" >"$STAMPS/python"
    step create "environment of $("$python" --version)" $R/screen.txt create "$python" "$version"
    step snakemake "Snakemake" $R/screen.txt pip_install --no-deps -r $R/screen.txt
    step complete "trying it" $R/screen.txt "$VENV/bin/snakemake" --version
}

# ---- wxPython ----

# CellProfiler's window needs wxPython, which PyPI has no ready package of for Linux, and compiling it takes an hour. So
# it is taken from a wheel where there is one. Otherwise, or where that does not work here, the window's tests skip.
WINDOW_PACKAGES="libwxgtk3.2-1 libwxgtk-media3.2-1 libwxgtk-webview3.2-1 xvfb"

install_gui() {
    local wheel
    enter .venv
    wheel=$(ls ../shared/wheels/wxPython-*-cp39-*"$(uname -s | tr '[:upper:]' '[:lower:]')"*"$(uname -m)".whl 2>/dev/null | tail -n 1 || true)
    if [ -z "$wheel" ] || has_window; then return; fi
    begin "Adding wxPython, for the tests of CellProfiler's window"
    rm -f "$STAMPS/gui"
    step gui "wxPython and its system packages" "$wheel" add_wxpython "$wheel"
    has_window || say "  wxPython does not work here, so those tests skip (on Debian: sudo apt-get install $WINDOW_PACKAGES)"
}

has_window() {
    "$VENV/bin/python" -c "import wx" 2>/dev/null && command -v Xvfb >/dev/null
}

add_wxpython() {
    pip_install --no-deps --no-index "$1"
    # shellcheck disable=SC2086
    if ! has_window && is_root_on_debian; then apt_install $WINDOW_PACKAGES; fi
    # Left there without its libraries it would disturb CellProfiler, which finds it and fails to load it.
    "$VENV/bin/python" -c "import wx" || "$VENV/bin/python" -m pip uninstall -y wxPython
}

trap interrupted INT TERM
case "${1:-cellprofiler}" in
    cellprofiler) install_cellprofiler ;;
    engine) install_engine ;;
    screen) install_screen ;;
    gui) install_gui ;;
    *) stop "unknown part '$1'; the parts are cellprofiler, engine, screen and gui" ;;
esac
