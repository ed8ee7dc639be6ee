"""The circumstances of the results: the machine, the versions, the command."""

import json
import os
import platform
import subprocess

import processes

PACKAGES = {
    "tf": ("tensorflow", "onnx-tf", "keras", "onnx", "onnxruntime", "numpy"),
    "peers": ("onnx2tf", "tensorflow", "onnx"),
    "architectures": ("torch", "torchvision", "transformers"),
    "tf1.15": ("tensorflow",),
    "tf1.13": ("tensorflow",),
    "tf1.4": ("tensorflow",),
}

_ASK = """
import json, platform, sys
try:
    from importlib.metadata import version
except ImportError:
    import pkg_resources
    version = lambda name: pkg_resources.get_distribution(name).version
found = {name: version(name) for name in sys.argv[1:]}
print(json.dumps([platform.python_version(), found]))
"""


def lines():
    """Return these circumstances as a list, one line each."""
    found = [
        f"- {processor()}, {os.cpu_count()} cores, {memory()}, {platform.system()} "
        f"{platform.machine()}; {os.cpu_count()} threads within an op"
    ]
    for environment, packages in PACKAGES.items():
        version, versions = _versions(environment, packages)
        named = ", ".join(f"{name} {number}" for name, number in versions.items())
        found.append(f"- `{environment}`: Python {version}, {named}")
    return found


def processor():
    """Return the name of the processor, if the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = [platform.processor()]
    return names[0] if names else platform.machine()


def memory():
    """Return the size of the memory."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{size / 2**30:.0f} GiB"


def _versions(environment, packages):
    command = [str(processes.python(environment)), "-c", _ASK, *packages]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=processes.environ()
    )
    return json.loads(done.stdout)
