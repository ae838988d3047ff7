#!/bin/sh
# Makes an arm64 Python in build/arm64, with NumPy and what textgen and its tests need: the program
# build/arm64/python starts it in an emulator. $QEMU_CPU names the CPU; else it is one that can all.
# Usage: sh tests/native/arm_python.sh PYTHON
#
# That Python and its libraries are Debian's, unpacked and not installed, its packages are wheels of
# the index. torch is not among them: under emulation it takes minutes to load. What is there stays.
set -eu
python=$1
cd "$(dirname "$0")/../.."
for word in qemu-aarch64 apt-get dpkg-deb; do
    command -v $word >/dev/null || {
        echo "$word is not found: this needs Debian or Ubuntu, and apt-get install qemu-user"
        exit 1
    }
done
folder=$(pwd)/build/arm64
mkdir -p "$folder"

if [ ! -x "$folder/root/usr/bin/python3" ]; then
    echo "Debian's Python for arm64, with all that it needs, is downloaded and unpacked"
    rm -rf "$folder/apt" "$folder/root"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" "$folder/root"
    : > "$folder/apt/status"
    # A system of its own, on which nothing is installed yet: the one here is left alone.
    set -- -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
        -o APT::Install-Recommends=false -o Dir::State::status="$folder/apt/status" \
        -o Dir::State::lists="$folder/apt/lists" -o Dir::State="$folder/apt" \
        -o Dir::Cache="$folder/apt" -o Dir::Cache::archives="$folder/apt/archives"
    apt-get "$@" update
    apt-get "$@" install --yes --download-only python3-minimal libpython3-stdlib libstdc++6
    for archive in "$folder"/apt/archives/*.deb; do
        dpkg-deb --extract "$archive" "$folder/root"
    done
fi

# With paths from the root, so that it starts with nothing on $PATH. It keeps what it has compiled of
# Python's modules: to compile them again takes longer than most of what it is started for.
cat > "$folder/python" <<END
#!/bin/sh
exec /usr/bin/env QEMU_CPU="\${QEMU_CPU:-max}" QEMU_LD_PREFIX="$folder/root" \\
    PYTHONPATH="\${PYTHONPATH:+\$PYTHONPATH:}$folder/site" OPENBLAS_NUM_THREADS=1 \\
    PYTHONDONTWRITEBYTECODE= \\
    $(command -v qemu-aarch64) "$folder/root/usr/bin/python3" "\$@"
END
chmod +x "$folder/python"

if [ ! -d "$folder/site" ]; then
    version=$("$folder/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "packages for its Python $version are downloaded and unpacked"
    "$python" -m pip --disable-pip-version-check install --quiet --no-compile --target "$folder/site.new" \
        --only-binary=:all: --implementation cp --python-version "$version" \
        --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
        --constraint constraints.txt numpy pytest pytest-timeout hypothesis rich typer safetensors \
        tqdm plotext matplotlib platformdirs wcwidth threadpoolctl pip
    mv "$folder/site.new" "$folder/site"
fi
