"""The TensorFlow versions that artefacts are made for, described without importing TensorFlow.

A target is the oldest TensorFlow that must load an artefact. Verbs take its name ("tf1.15").
"""

from dataclasses import dataclass

from graphcore.errors import unknown_name


@dataclass(frozen=True)
class Target:
    """One target. `str` gives its name.

    `oldest` is the oldest TensorFlow that must load the artefact, such as (1, 15). An old target
    also has a `version` of TensorFlow and a `python`. They describe the legacy environment of the
    same name, which proves the artefact. The newest target has none, because the kernel's own
    TensorFlow proves it. TensorFlow lists the `missing_types` of a release among its types, but can
    neither feed nor cast to them.
    """

    name: str
    oldest: tuple[int, int]
    version: str = ""
    python: str = ""
    missing_types: tuple[str, ...] = ()

    @staticmethod
    def named(name: str) -> "Target":
        """Return the target of a name.

        Raises:
            UnknownName: no target has this name.
        """
        if name not in NAMES:
            raise unknown_name("target", name, NAMES)
        return TARGETS[NAMES.index(name)]

    @property
    def is_legacy(self) -> bool:
        """Whether a legacy environment of the same name proves the artefact."""
        return bool(self.version)

    def and_newer(self) -> tuple["Target", ...]:
        """Return this target and the newer ones, oldest first.

        All of them load its artefacts.
        """
        return TARGETS[TARGETS.index(self) :]

    def __str__(self) -> str:
        return self.name


TARGETS = (
    Target("tf1.4", (1, 4), "1.4.1", "3.6", ("DT_UINT32", "DT_UINT64", "DT_BFLOAT16")),
    Target("tf1.13", (1, 13), "1.13.2", "3.6"),
    Target("tf1.15", (1, 15), "1.15.5", "3.7"),
    Target("tf2", (2, 0)),
)
"""All targets, oldest first."""

NAMES = tuple(target.name for target in TARGETS)
LEGACY = tuple(target for target in TARGETS if target.is_legacy)
NEWEST = TARGETS[-1]


def chosen(text: str) -> list[str]:
    """Return the names in a text such as "tf1.4 tf2", oldest first, or the newest if it is empty.

    Raises:
        UnknownName: one of them does not exist.
    """
    names = text.replace(",", " ").split() or [NEWEST.name]
    return sorted({Target.named(name).name for name in names}, key=NAMES.index)
