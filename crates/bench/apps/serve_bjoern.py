"""bjoern with several processes, in the way of its documentation: listen, fork, run.

    python serve_bjoern.py PORT WORKERS BACKLOG MODULE:CALLABLE
"""

import importlib
import os
import sys

import bjoern

port, workers, backlog, name = *map(int, sys.argv[1:4]), sys.argv[4]
module, _, attribute = name.partition(":")
sys.path.insert(0, os.getcwd())
bjoern.listen(getattr(importlib.import_module(module), attribute), "127.0.0.1", port, listen_backlog=backlog)
for _ in range(workers - 1):
    if os.fork() == 0:
        break
bjoern.run()
