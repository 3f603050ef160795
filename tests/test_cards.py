"""cards.py: a card is whole or absent, and a machine without Unix's `resource` still writes one."""

import json
import subprocess
import sys

import pytest

from ladi_mini import cards
from ladi_mini.cards import circumstances, python_speed, read_card, write_card, write_text


def test_a_card_comes_back_as_it_was_written(tmp_path):
    card = {"what": "a run", "größe": [1, 2.5, None]}
    write_card(tmp_path / "new" / "card.json", card)
    assert read_card(tmp_path / "new" / "card.json") == card


def test_an_interval_takes_one_line_and_any_card_comes_back(tmp_path):
    interval = {"mean": 1.5, "low": 1.0, "high": float("inf"), "n": 3}
    card = {
        "psnr": {"tryon": interval | {"by_category": {"dresses": interval}}},
        "empty": {},
        "rows": [[1, 2], []],
        "long": ["x" * 50] * 4,
    }
    card |= {1: (1, 2), "pair": ({"a": 1}, 2), "none": None}
    write_card(tmp_path / "card.json", card)
    text = (tmp_path / "card.json").read_text()
    assert '"dresses": {"mean": 1.5, "low": 1.0, "high": Infinity, "n": 3}\n' in text and "    [1, 2],\n" in text
    assert json.loads(text) == json.loads(json.dumps(card)) and max(map(len, text.splitlines())) <= 130


def test_a_write_that_fails_leaves_the_old_card(tmp_path, monkeypatch):
    write_text(tmp_path / "card.json", "old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_text(tmp_path / "card.json", "new")
    assert (tmp_path / "card.json").read_text() == "old"


def test_circumstances_name_the_hardware_and_the_versions():
    found = circumstances()
    assert " thread" in found["hardware"] and found["versions"]["torch"] != "absent"


def test_a_package_inside_another_project_does_not_take_its_commit(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=b", *arguments], cwd=tmp_path, check=True)

    installed = tmp_path / ".venv" / "ladi_mini"
    installed.mkdir(parents=True)
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "other")
    monkeypatch.setattr(cards, "__file__", str(installed / "cards.py"))
    assert cards.circumstances()["commit"] == "unknown"
    (tmp_path / "ladi_mini").mkdir()
    monkeypatch.setattr(cards, "__file__", str(tmp_path / "ladi_mini" / "cards.py"))
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert head.startswith(cards.circumstances()["commit"])


def test_the_processors_speed_is_that_of_the_quickest_loop(monkeypatch):
    clock = iter([0.0, 0.3, 1.0, 1.1, 2.0, 2.2])
    monkeypatch.setattr("ladi_mini.cards.time.perf_counter", lambda: next(clock))
    assert python_speed(200_000, repeats=3) == 2.0


def test_memory_is_unknown_where_the_unix_module_resource_is_missing():
    code = (
        "import sys; sys.modules['resource'] = None\nfrom ladi_mini.cards import peak_memory_mb\nassert peak_memory_mb() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
