# SPDX-License-Identifier: BSL-1.0
# Shared by the scripts of this folder (sourced): named steps with progress, and what each system needs.
set -euo pipefail

script_name=scripts/$(basename "$0")
invoked_from=$PWD
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
deps=${DTASK_DEPS_DIR:-$top/.deps}
export DTASK_DEPS_DIR=$deps
jobs=$(nproc)
started=$SECONDS

say() { printf '== %s\n' "$*"; }
die() { printf '%s: FAILED: %s\n' "$script_name" "$*" >&2; exit 1; }

# step NAME REMEDY COMMAND...: runs the command with its output shown; a failure names the step and the remedy.
step() {
  local name=$1 remedy=$2
  shift 2
  say "$name"
  "$@" || die "$name (after $((SECONDS - started)) s). $remedy"
}

# quiet_step: the same, but the output goes to a file that is shown (its end) only on failure.
quiet_step() {
  local name=$1 remedy=$2 log
  shift 2
  say "$name"
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    die "$name (after $((SECONDS - started)) s). $remedy"
  fi
  rm -f "$log"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

# Installed, for one architecture or several, on hold or not.
has_package() {
  case $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) in
    ?i\ *) return 0 ;;
    *) return 1 ;;
  esac
}

# need_packages PACKAGE...: installs those that are missing. "a|b" means a where the system has it, else b.
need_packages() {
  local missing=() want first
  for want in "$@"; do
    first=${want%%|*}
    if has_package "$first" || { [ "$first" != "$want" ] && has_package "${want#*|}"; }; then continue; fi
    missing+=("$want")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    die "this system has no apt-get, so the packages cannot be installed here. Install these by hand: ${missing[*]}"
  fi
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    die "packages are missing and there is no sudo. As root: apt-get install ${missing[*]%%|*}"
  fi
  quiet_step "package lists (apt-get update)" "Check the network and /etc/apt/sources.list, then run this again." as_root apt-get update
  local chosen=()
  for want in "${missing[@]}"; do
    first=${want%%|*}
    # A candidate counts, not a name: apt also knows packages that others merely mention.
    if [ "$first" != "$want" ] && [[ $(apt-cache policy "$first") != *"Candidate: "[0-9]* ]]; then first=${want#*|}; fi
    chosen+=("$first")
  done
  quiet_step "packages: ${chosen[*]}" "Install them by hand (apt-get install ${chosen[*]}), then run this again." \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${chosen[@]}"
}

system_python() { if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else echo python3; fi; }

# LibTorch: the C++ library, headers and all, is in the wheel; no Python is needed to run what links it.
need_libtorch() {
  [ -z "${Torch_DIR:-}${LibTorch_ROOT:-}" ] || return 0
  local version=2.11.0 dir=$deps/libtorch fresh
  if [ -d "$dir/torch-$version.dist-info" ] && [ -e "$dir/torch/lib/libtorch_cpu.so" ] && [ -e "$dir/nvidia/cu13/include/crt/host_defines.h" ]; then return 0; fi
  need_packages python3-pip
  mkdir -p "$deps"
  rm -rf "$deps"/libtorch.new.*  # of an interrupted run
  fresh=$(mktemp -d "$deps/libtorch.new.XXXXXX")
  quiet_step "LibTorch $version from PyPI into $dir (half a gigabyte to fetch, 1.2 GB on disk)" \
    "Check the network and the free space, or set Torch_DIR to a LibTorch that you have." \
    "$(system_python)" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --target "$fresh" \
    "torch==$version" nvidia-cuda-runtime==13.0.96 nvidia-cuda-crt==13.0.88 nvidia-cuda-cupti==13.0.85
  chmod 755 "$fresh"
  rm -rf "$dir"
  mv "$fresh" "$dir"
}

# What checks a manifest of Kubernetes against its schema, in a virtual environment of its own.
need_kubernetes_validate() {
  local version=1.37.0 venv=$deps/kubernetes-validate
  if [ -x "$venv/bin/kubernetes-validate" ] && [ "$(cat "$venv/version" 2>/dev/null)" = "$version" ]; then return 0; fi
  rm -rf "$venv"
  mkdir -p "$deps"
  quiet_step "kubernetes-validate $version from PyPI into $venv" "Check the network." \
    sh -c '"$1" -m venv "$2" && "$2/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "kubernetes-validate==$3"' sh \
    "$(system_python)" "$venv" "$version"
  echo "$version" >"$venv/version"
}

# Conan, in a virtual environment of its own; bin/conan alone is what tests look for.
need_conan() {
  local version=2.34.0 venv=$deps/conan
  if [ -x "$venv/bin/conan" ] && [ "$(cat "$venv/version" 2>/dev/null)" = "$version" ]; then return 0; fi
  rm -rf "$venv"
  mkdir -p "$deps"
  quiet_step "Conan $version from PyPI into $venv" "Check the network." \
    sh -c '"$1" -m venv "$2" && "$2/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "conan==$3"' sh \
    "$(system_python)" "$venv" "$version"
  echo "$version" >"$venv/version"
}

# Other versions of CMake than the system's, each in a virtual environment of its own: bin/cmake alone is what tests look for.
need_cmakes() {
  local version venv
  for version in 3.31.6 4.4.5; do
    venv=$deps/cmake-$version
    if [ "$(cat "$venv/version" 2>/dev/null)" = "$version" ]; then continue; fi
    rm -rf "$venv"
    mkdir -p "$deps"
    quiet_step "CMake $version from PyPI into $venv" "Check the network." \
      sh -c '"$1" -m venv "$2" && "$2/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "cmake==$3"' sh \
      "$(system_python)" "$venv" "$version"
    echo "$version" >"$venv/version"
  done
}

# What makes the documentation site, and what opens it in the system's browser, in a virtual environment of its own.
need_site() {
  local version="zensical==0.0.73 playwright==1.65.2" venv=$deps/site
  if [ -x "$venv/bin/zensical" ] && [ "$(cat "$venv/version" 2>/dev/null)" = "$version" ]; then return 0; fi
  rm -rf "$venv"
  mkdir -p "$deps"
  # shellcheck disable=SC2086
  quiet_step "Zensical and Playwright from PyPI into $venv" "Check the network." \
    sh -c 'python=$1 venv=$2; shift 2; "$python" -m venv "$venv" &&
      "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "$@"' sh "$(system_python)" "$venv" $version
  echo "$version" >"$venv/version"
}

# setup PART...: build, torch, lint, launchers, packaging, site, clang, gcc12, bench, demo.
setup() {
  local part
  for part in "$@"; do
    case $part in
      build)
        need_packages g++ cmake ninja-build git ca-certificates python3 'libboost1.81-dev|libboost-dev' libcereal-dev libxxhash-dev \
          libcli11-dev doctest-dev libjpeg-dev libpng-dev libexif-dev zlib1g-dev
        ;;
      torch) need_libtorch ;;
      clang) need_packages clang-19 libclang-rt-19-dev llvm-19 clang-tidy-19 ;;
      lint) need_packages clang-format-19 doxygen ;;
      # Started by tests, on loopback; nothing that is built needs them.
      launchers)
        need_packages openmpi-bin slurmctld slurmd slurm-client munge python3-venv
        need_kubernetes_validate
        ;;
      # dtask got through package managers, without a network.
      packaging)
        need_packages build-essential pkg-config python3-venv debhelper dpkg-dev lintian bash-completion man-db
        # For `import dtask;`.
        need_packages clang-19 clang-tools-19
        need_conan
        need_cmakes
        setup site
        ;;
      site)
        need_packages doxygen chromium python3-venv
        need_site
        ;;
      gcc12) need_packages g++-12 ;;
      bench) need_packages libtbb-dev python3-venv ;;
      demo) need_packages dataset-fashion-mnist gnuplot-nox ;;
      *) die "setup knows the parts build, torch, lint, launchers, packaging, site, clang, gcc12, bench and demo, not '$part'" ;;
    esac
  done
}

# configure PRESET [ARGUMENT...]: quick when nothing changed.
configure() {
  local preset=$1
  shift
  quiet_step "configure build/$preset" "Read the message above; 'rm -rf build/$preset' starts this tree afresh." cmake --preset "$preset" "$@"
}

# build PRESET TARGET...
build() {
  local preset=$1
  shift
  step "build build/$preset ($*)" "Read the compiler's message above; with too little memory run 'cmake --build build/$preset -j1'." \
    cmake --build "build/$preset" --parallel "$jobs" --target "$@"
}
