"""The set-up behind `environments/setup.py`: standard library only, Python 3.8 or newer.

`catalogue` lists the environments, and `pinfiles` reads their pins. `interpreters` finds the
Pythons, and `venvs` makes the environments. `stamps` records which are ready, `kernelspecs`
registers the kernels, and `resolve` rewrites the generated parts of the pin files.
"""
