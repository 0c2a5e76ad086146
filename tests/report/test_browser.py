# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, without a network: it draws, obeys its controls, and fits a phone.

Of made-up results, and of a sweep of this host.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("altair")
webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pybench.present.html.page import render
from pybench.present.report.contents import make_report
from pybench.results.store import read
from tests.unit.synthetic import cell, noisy

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Debian's chromium and chromium-driver")
HOSTILE = "<img src=x onerror='document.title=1'>"
WAIT = 60


# No assertion here is of speed; but valid trials are not certain on a busy machine.
SWEEP = """
import sys
import pybench.run.checked_trial as trial
trial.flags = lambda cell, seen: []
from pybench.cli import main
sys.argv = ["pybench", "sweep", "spin", "stat", "--threads", "1,2,4..max", "--duration", "10ms", "--warmup", "1ms",
            "--min-trials", "6", "--max-trials", "6"]
main()
"""


def made_up() -> str:
    """A page of curves of two locks."""
    cells = [
        cell("spin", lock=lock, threads=n, place=HOSTILE, cpus=tuple(range(n)))
        for lock in ("ticket", "mcs")
        for n in (1, 2, 4, 8)
    ]
    file = noisy("a.jsonl", cells)
    header = msgspec.structs.replace(file.header, host=file.header.host | {"name": HOSTILE})
    return render(make_report([msgspec.structs.replace(file, header=header)]))


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """A browser without a network."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for word in (
            "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
            "disable-background-networking", "disable-component-update", "host-resolver-rules=MAP * ~NOTFOUND",
            f"user-data-dir={folder}/profile",
        ):  # fmt: skip
            options.add_argument(f"--{word}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        opened = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield opened
        finally:
            opened.quit()


def show(driver: Any, page: Path) -> Any:
    driver.get(page.as_uri())
    WebDriverWait(driver, WAIT).until(lambda d: d.execute_script("return document.body.dataset.ready"))
    return driver


@pytest.fixture(scope="module")
def browser(driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page of made-up results, shown."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    page.write_text(made_up(), encoding="utf-8")
    return show(driver, page)


def test_every_chart_is_drawn_without_a_complaint(browser: Any) -> None:
    assert browser.execute_script("return document.body.dataset.ready") == "yes"
    figures = browser.find_elements(By.CSS_SELECTOR, "figure.chart")
    assert figures
    assert all(figure.find_elements(By.CSS_SELECTOR, ".view svg path") for figure in figures)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_series_are_chosen_and_axes_turned(browser: Any) -> None:
    figure = browser.find_element(By.ID, "figure-scaling")

    def points() -> int:
        return len(figure.find_elements(By.CSS_SELECTOR, ".mark-symbol path"))

    before = points()
    box = figure.find_element(By.CSS_SELECTOR, ".legend input")
    box.click()
    WebDriverWait(browser, WAIT).until(lambda _: points() == before // 2)
    box.click()
    WebDriverWait(browser, WAIT).until(lambda _: points() == before)
    drawn = figure.get_attribute("data-drawn")
    group = figure.find_element(By.CSS_SELECTOR, "[aria-label='y axis']")
    wanted = group.find_element(By.CSS_SELECTOR, "button[aria-pressed='false']")
    wanted.click()
    WebDriverWait(browser, WAIT).until(lambda _: figure.get_attribute("data-drawn") != drawn)
    assert wanted.get_attribute("aria-pressed") == "true"


def test_what_a_file_says_is_text(browser: Any) -> None:
    assert HOSTILE in browser.find_element(By.TAG_NAME, "h1").text
    assert not browser.find_elements(By.CSS_SELECTOR, "img")


def test_a_phone_needs_no_sideways_scrolling(browser: Any) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


def test_a_sweep_of_this_host_ends_by_naming_a_page_that_shows_it(driver: Any, tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", SWEEP], cwd=tmp_path, text=True, capture_output=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    named = re.fullmatch(r"report: (results/.*\.html)", ran.stderr.splitlines()[-1])
    assert named, ran.stderr
    page = tmp_path / named[1]
    assert page.stat().st_size < 2_000_000
    # The whole of Vega is inside: without it a page is a tenth of that, and draws nothing.
    assert page.stat().st_size > 500_000
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    show(driver, page)
    assert driver.execute_script("return document.body.dataset.ready") == "yes"
    results = read(page.with_suffix(".jsonl"))
    # The first screen: conclusion in words, the curve with a point a cell, the machine with the CPUs used.
    words = driver.find_element(By.CSS_SELECTOR, ".conclusions").text
    assert "spin" in words and "trials" in words
    hero = driver.find_element(By.CSS_SELECTOR, ".hero figure")
    assert len(hero.find_elements(By.CSS_SELECTOR, ".mark-symbol.role-mark path")) == len(
        results.header.plan.cells
    )
    assert len(hero.find_elements(By.CSS_SELECTOR, ".mark-rule.role-mark line")) == len(results.header.plan.cells)
    used = {cpu for one in results.header.plan.cells for cpu in one.cpus}
    shown = driver.find_element(By.CSS_SELECTOR, ".machine")
    assert {int(one.text) for one in shown.find_elements(By.CSS_SELECTOR, "text.used")} == used
    # Below: a point a trial, and marks in every chart.
    trials = driver.find_element(By.ID, "figure-trials")
    assert len(trials.find_elements(By.CSS_SELECTOR, ".mark-symbol.role-mark path")) == len(results.trials)
    for figure in driver.find_elements(By.CSS_SELECTOR, "figure.chart"):
        marks = figure.find_elements(By.CSS_SELECTOR, ".view svg .role-mark path, .view svg .role-mark line")
        assert marks, figure.get_attribute("id")
    assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
