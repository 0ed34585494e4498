"""Where pytest finds the plugin; installed beside the package, as the module ``minicnn_pytest``.

Importing any module of a package imports the package, here with NumPy and the ops, and pytest would do so at each of
its starts, in every project of the environment. So the plugin is loaded from its file.
"""

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

_NAME = "minicnn.testing.pytest_plugin"


def load() -> ModuleType:
    """The plugin's module, without its package.

    Raises
    ------
    ImportError
        If the package is not there.
    """
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    package = find_spec("minicnn")  # looks it up, imports nothing
    if package is None or package.origin is None:
        raise ImportError("minicnn_pytest: the package minicnn is not installed")
    spec = spec_from_file_location(_NAME, Path(package.origin).parent / "testing" / "pytest_plugin.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"minicnn_pytest: {_NAME} is not beside {package.origin}")
    module = module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module


plugin = load()
