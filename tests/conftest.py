"""What every test shares: no network, no display, the same examples each run, the command line, a browser where needed.

Choices made here
- The command line is called in this process: a new one would import torch each time.
- Tests marked `browser` skip where no Chromium is found and say so. With LADI_REQUIRE_BROWSER set, as on CI, a browser
  test that was skipped for any reason has failed: a check that silently did not run is worth nothing.
"""

import os
import shutil
import sys
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any Hugging Face library is imported
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

settings.register_profile("ladi_mini", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("ladi_mini")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is installed (CHROMIUM names another); skips the test where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if not found:
        pytest.skip("no Chromium found: install the chromium package, or set CHROMIUM to its path")
    return found


@pytest.fixture()
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Calls `ladi-mini` with arguments; gives (exit code, standard output, standard error), warnings as a user sees them."""
    from ladi_mini import cli

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ladi-mini", *map(str, arguments)])
        with warnings.catch_warnings():  # pytest keeps them from the standard error, and cli.main sets how they are written
            warnings.simplefilter("default")
            warnings.showwarning = lambda message, *_, **__: print(f"Warning: {message}", file=sys.stderr)
            try:
                code = cli.main() or 0
            except SystemExit as stop:
                code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if os.environ.get("LADI_REQUIRE_BROWSER") and item.get_closest_marker("browser"):
        fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    if os.environ.get("LADI_REQUIRE_BROWSER") and "browser" in collector.path.parts:
        fail_if_skipped(report)  # a whole file of tests/browser skipped on import never reaches the marker
    return report


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport):
    """Turns a skipped report into a failed one that keeps the reason; an expected failure is left alone."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"LADI_REQUIRE_BROWSER is set, but this browser test did not run: {reason}"
