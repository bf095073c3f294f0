"""What is asked about an application's extension modules: which there are, whose they are, whether they load here.

Nothing in here raises: a broken installation gives less to tell, and that is all.
"""

import csv
import os
import sys
from importlib import machinery, metadata, util

SUFFIXES = tuple(machinery.EXTENSION_SUFFIXES)


def is_standard(file):
    return os.path.basename(os.path.dirname(file)) == "lib-dynload"


def installed():
    """Every distribution on sys.path, once. The first one of a name is the one that Python imports."""
    found = {}
    try:
        for distribution in metadata.distributions():
            try:
                name = distribution.metadata["Name"]
                if name:
                    found.setdefault(name.lower().replace("_", "-"), (distribution, name, distribution.version or "?"))
            except Exception:
                continue
    except Exception:
        pass
    return list(found.values())


def recorded(distribution):
    """The paths in a distribution's RECORD, as they are written there."""
    text = distribution.read_text("RECORD") or ""
    return [row[0] for row in csv.reader(text.splitlines()) if row]


def index():
    """Distributions by the extension files that they installed, and by the names at the top that they own."""
    files, tops = {}, {}
    for distribution, name, version in installed():
        try:
            paths = recorded(distribution)
            for path in paths:
                if path.endswith(SUFFIXES):
                    files[os.path.realpath(distribution.locate_file(path))] = (name, version)
            words = (distribution.read_text("top_level.txt") or "").split()
            for top in set(words or [path.split("/")[0].partition(".")[0] for path in paths]):
                tops.setdefault(top, set()).add((name, version))
        except Exception:
            continue
    return files, tops


def packages(modules):
    """(name, version) of the distribution that each (module, file) belongs to; two empty texts where none is known.

    By file, so that psycopg2 is psycopg2-binary and a namespace's modules are told apart. By the module's first name for
    those that no RECORD lists (editable installs, a distribution's own packages), where only one distribution has it.
    """
    found = []
    files, tops = index()
    for module, file in modules:
        package = ("", "")
        try:
            if not is_standard(file):
                owners = tops.get(module.partition(".")[0], set())
                package = files.get(os.path.realpath(file)) or (next(iter(owners)) if len(owners) == 1 else package)
        except Exception:
            pass
        found.append(package)
    return found


def extension_modules():
    """(module, file, "standard" or "") of each extension module that this interpreter has loaded, each file once."""
    found = {}
    for name, module in list(sys.modules.items()):
        try:
            spec = module.__spec__
            if isinstance(spec.loader, machinery.ExtensionFileLoader):
                found.setdefault(spec.origin, (spec.name, spec.origin, "standard" if is_standard(spec.origin) else ""))
        except Exception:
            continue
    return sorted(found.values())


def trial(name, file):
    """Loads one extension module by itself: (verdict, text)."""
    try:
        spec = util.spec_from_file_location(name, file, loader=machinery.ExtensionFileLoader(name, file))
        loader = spec.loader
        try:
            module = loader.create_module(spec)
        except ModuleNotFoundError as error:
            # The rule for refused modules words it so; an extension that misses another module names that one.
            return ("refuses" if error.name == name else "fails", str(error))
        if spec.loader is not loader:
            return ("replaced", spec.origin)
        # Where an import puts it too: modules that this one imports may ask for it.
        sys.modules[name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return ("loads", "")
    except BaseException as error:
        try:
            return ("fails", f"{type(error).__name__}: {error}")
        except Exception:
            return ("fails", type(error).__name__)

