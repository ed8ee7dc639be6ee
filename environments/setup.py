#!/usr/bin/env python3
"""Set up this checkout's environments: `python environments/setup.py th tf kernels`.

Each verb prints a line about its work, and does nothing if the work is already done. Any Python 3.8
or newer runs this script, because it needs only the standard library. environments/README.md
describes the environments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from envsetup import audit, hashes, kernelspecs, licences, pinfiles, resolve, venvs
from envsetup.catalogue import BENCH, ENVIRONMENTS, LEGACY, Environment
from envsetup.report import SetupError, say
from envsetup.turns import only_one

DEV = ["dev-th", "dev-tf"]
# Every release of the legacy runtimes has advisories. They run only artefacts made here.
AUDITED = ["th", "tf", "clients", *DEV]
SEVERAL = {"dev": DEV, "legacy": LEGACY, "bench": BENCH}
PAGES = ["conda-files", "licences", "audit"]
HELP = """verbs:
  th, tf               the environments of the kernels train and convert
  tf1.4 tf1.13 tf1.15  the legacy runtimes; `legacy` for all three
  clients              runtimes of other makers that try the artefacts
  architectures, peers what the benchmarks need: real networks, other converters; `bench` for both
  dev-th, dev-tf       what tests and checks need, on top of th and tf; `dev` for both
  kernels              register the kernels train and convert with the environment that runs
                       JupyterLab: .envs/th, or the conda environment th when that runs this
  conda-files          write environment-th.yml and environment-tf.yml from the pin files
  tools                the programs behind `hashes` and `audit`
  lock NAME ...        rewrite the generated part of pin files
                       (those above and the dev ones)
  hashes [NAME ...]    write environments/hashes: the sha256 of every file of the pins
  audit                known advisories about the pins of th, tf, clients and the dev ones
  licences             write environments/LICENCES.md from what is installed
"""


def main(arguments: list[str]) -> int:
    """Carry out the verbs in order, and return the exit status.

    It is 0 if all succeed, 130 after an interruption, or else 1 with the error on stderr.
    """
    options = _parser().parse_args(arguments)
    try:
        with only_one():
            _carry_out(options)
    except SetupError as problem:
        print(f"setup: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verbs", nargs="+", metavar="VERB")
    parser.add_argument(
        "--optional", action="store_true", help="leave out a legacy runtime that cannot be had"
    )
    parser.add_argument(
        "--tf-python", type=Path, help="for `kernels` with conda: the Python of environment tf"
    )
    return parser


def _carry_out(options: argparse.Namespace) -> None:
    if options.verbs[0] == "lock":
        _known(options.verbs[1:], [*ENVIRONMENTS, *DEV])
        for name in options.verbs[1:]:
            resolve.lock(name)
        return
    if options.verbs[0] == "hashes":
        _hashes(options.verbs[1:])
        return
    _known(options.verbs, [*ENVIRONMENTS, *DEV, *SEVERAL, "kernels", *PAGES])
    for verb in options.verbs:
        for one in SEVERAL.get(verb, [verb]):
            _one(one, options)


def _hashes(names: list[str]) -> None:
    everything = [*ENVIRONMENTS, *DEV]
    _known(names, everything)
    venvs.ensure(ENVIRONMENTS["tools"])
    for name in names or everything:
        say(f"{hashes.write(name).relative_to(pinfiles.ROOT)}: written")


def _known(verbs: list[str], expected: list[str]) -> None:
    for verb in verbs:
        if verb not in expected:
            raise SetupError(
                f"Expected one of {', '.join(expected)}, not {verb!r}; `--help` says what each is."
            )


def _one(verb: str, options: argparse.Namespace) -> None:
    if verb == "kernels":
        _kernels(options)
    elif verb == "conda-files":
        for path in pinfiles.write_conda_files():
            say(f"{path.name}: written")
    elif verb == "licences":
        say(f"{licences.write().name}: written")
    elif verb == "audit":
        _audit()
    elif verb in DEV:
        venvs.ensure_dev(ENVIRONMENTS[verb[len("dev-") :]])
    else:
        _environment(ENVIRONMENTS[verb], optional=options.optional)


def _audit() -> None:
    venvs.ensure(ENVIRONMENTS["tools"])
    found = {name: audit.advisories(name) for name in AUDITED}
    for name, advisories in found.items():
        say(f"{name}: {len(advisories)} advisories")
        for advisory in advisories:
            say(f"  {advisory}")
    if any(found.values()):
        raise SetupError(
            "Expected no advisories about the pins, but there are those above; choose a fixed "
            "version in the pin file, or write there why not (environments/README.md)."
        )


def _kernels(options: argparse.Namespace) -> None:
    # `setup.py th tf kernels` means the environments just made, even if conda's Python runs it.
    conda = kernelspecs.in_conda_environment() and "th" not in options.verbs
    if options.tf_python or conda:
        kernelspecs.register_conda(options.tf_python)
    else:
        kernelspecs.register_venvs()


def _environment(environment: Environment, *, optional: bool) -> None:
    try:
        venvs.ensure(environment)
    except SetupError as problem:
        if not (optional and environment.legacy):
            raise
        say(f"{environment.name}: left out, its target is checked by op tables only. {problem}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
