"""Licences of what a user installs, and advisories about the pins."""

import types
from email.parser import HeaderParser

import pytest
from envsetup import audit, licences, pinfiles
from envsetup.report import SetupError


@pytest.mark.parametrize("name", licences.NAMES)
def test_every_pin_of_a_user_is_on_the_page_of_licences(name):
    rows = [line.split(" | ") for line in licences.FILE.read_text().splitlines()]
    listed = {
        (row[0].removeprefix("| "), row[1])
        for row in rows
        if len(row) == 4 and name in row[3].removesuffix(" |").split(", ")
    }
    pinned = {(pin.key, pin.version) for pin in pinfiles.read(name) if not pin.marker}
    assert listed == pinned, "run `python environments/setup.py licences`"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("License-Expression: Apache-2.0 AND MIT\nLicense: x", "Apache-2.0 AND MIT"),
        ("License: BSD", "BSD"),
        ("License: BSD 3-Clause License\n Copyright (c) 2018 All rights", "BSD 3-Clause License"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        (
            f"License: {'permission is granted ' * 9}\nClassifier: License :: OSI Approved\n"
            "Classifier: License :: OSI Approved :: ISC License (ISCL)",
            "ISC License (ISCL)",
        ),
        ("License: a | b", "a / b"),
        ("Name: x", "not said"),
    ],
)
def test_a_licence_is_one_short_line(said, kind):
    assert licences.licence(HeaderParser().parsestr(f"{said}\n\n")) == kind


FOUND = {
    "dependencies": [
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3", "4"]}]},
        {"name": "c", "version": "5", "vulns": [{"id": "GHSA-2", "fix_versions": []}]},
        {"name": "d", "skip_reason": "not found"},
    ]
}


def test_an_advisory_says_what_is_free_of_it():
    assert list(map(str, audit.read(FOUND, "th"))) == [
        "b 2: PYSEC-1, fixed in 3, 4",
        "c 5: GHSA-2, no version without it",
    ]


def test_where_no_advisories_can_be_reached_one_sentence_says_so(monkeypatch):
    sentence = r"No index of advisories can be reached .* pins of th .* said: .*not found.*\); run"
    with pytest.raises(SetupError, match=sentence):
        audit.read({"dependencies": FOUND["dependencies"][3:]}, "th")
    done = types.SimpleNamespace(stdout=b"Traceback\nConnectionError: not found\n")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(SetupError, match=sentence):
        audit.advisories("th")
