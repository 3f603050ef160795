"""cards.py: a card is whole or absent, and a machine without Unix's `resource` still writes one."""

import subprocess
import sys

import pytest

from ladi_mini.cards import circumstances, read_card, write_card, write_text


def test_a_card_comes_back_as_it_was_written(tmp_path):
    card = {"what": "a run", "größe": [1, 2.5, None]}
    write_card(tmp_path / "new" / "card.json", card)
    assert read_card(tmp_path / "new" / "card.json") == card


def test_a_write_that_fails_leaves_the_old_card(tmp_path, monkeypatch):
    write_text(tmp_path / "card.json", "old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_text(tmp_path / "card.json", "new")
    assert (tmp_path / "card.json").read_text() == "old"


def test_circumstances_name_the_hardware_and_the_versions():
    found = circumstances()
    assert " thread" in found["hardware"] and found["versions"]["torch"] != "absent"


def test_memory_is_unknown_where_the_unix_module_resource_is_missing():
    code = (
        "import sys; sys.modules['resource'] = None\nfrom ladi_mini.cards import peak_memory_mb\nassert peak_memory_mb() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
