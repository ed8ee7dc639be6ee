"""Scripts that load and run a model in one client, without importing this package.

`worker` is the script that is started. It loads one of the others by its path. They need numpy and
their client.
"""
