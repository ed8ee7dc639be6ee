"""The set-up behind `environments/setup.py`: standard library only, Python 3.8 or newer.

`catalogue` lists the environments, `pinfiles` reads what goes into them, `interpreters` finds the
Pythons, `venvs` makes them, `stamps` knows which are ready, `kernelspecs` registers the kernels,
`resolve` rewrites the generated parts of the pin files.
"""
