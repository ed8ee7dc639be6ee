"""Scripts that load and run a model in one client, each without this package around it.

`worker` is what is started; it loads one of the others by path. They need numpy and their client.
"""
