"""bjoern with several processes, in the way of its documentation: listen, fork, run.

    python serve_bjoern.py PORT WORKERS MODULE:CALLABLE
"""

import importlib
import os
import sys

import bjoern

port, workers, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
module, _, attribute = name.partition(":")
sys.path.insert(0, os.getcwd())
bjoern.listen(getattr(importlib.import_module(module), attribute), "127.0.0.1", port)
for _ in range(workers - 1):
    if os.fork() == 0:
        break
bjoern.run()
