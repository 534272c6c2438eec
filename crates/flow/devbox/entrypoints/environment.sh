# What wootz's entry points share: Spack and CUDA, where the image has them.
for setup in /opt/spack_src/share/spack/setup-env.sh /opt/spack/share/spack/setup-env.sh; do
    if [ -r "$setup" ] && ! command -v spack >/dev/null; then
        . "$setup"
    fi
done
if [ -d /usr/local/cuda ]; then
    export CUDA_HOME=/usr/local/cuda PATH="/usr/local/cuda/bin:$PATH"
    export LD_LIBRARY_PATH="/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

# The environment of the folder: Spack's where there is one, then Python's.
activate() {
    if [ -f spack.yaml ] && command -v spack >/dev/null; then
        eval "$(spack env activate --sh .)"
    fi
    if [ -r .venv/bin/activate ]; then
        . .venv/bin/activate
    fi
}

# Becomes the command; one word that is no program is a line for a shell.
become() {
    if [ $# = 1 ] && ! command -v "$1" >/dev/null; then
        exec sh -c "$1"
    fi
    exec "$@"
}

shell() {
    if command -v bash >/dev/null; then
        exec bash
    fi
    exec sh
}
