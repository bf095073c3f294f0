"""FastPySGI with several processes, which its command line does not offer.

    python serve_fastpysgi.py PORT WORKERS MODULE:CALLABLE [CERTIFICATE KEY]
"""

import importlib
import os
import sys

import fastpysgi

port, workers, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
module, _, attribute = name.partition(":")
sys.path.insert(0, os.getcwd())
if len(sys.argv) > 4:
    fastpysgi.server.tls_list = [(sys.argv[4], sys.argv[5], None)]
fastpysgi.run(getattr(importlib.import_module(module), attribute), host="127.0.0.1", port=port, workers=workers)
