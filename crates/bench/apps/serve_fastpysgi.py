"""FastPySGI with several processes, which its command line does not offer.

    python serve_fastpysgi.py PORT WORKERS BACKLOG MODULE:CALLABLE [CERTIFICATE KEY]
"""

import importlib
import os
import sys

import fastpysgi

port, workers, backlog, name = *map(int, sys.argv[1:4]), sys.argv[4]
module, _, attribute = name.partition(":")
sys.path.insert(0, os.getcwd())
fastpysgi.server.backlog = backlog
if len(sys.argv) > 5:
    fastpysgi.server.tls_list = [(sys.argv[5], sys.argv[6], None)]
fastpysgi.run(getattr(importlib.import_module(module), attribute), host="127.0.0.1", port=port, workers=workers)
