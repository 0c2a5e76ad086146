"""The page in a real browser, without a network: it draws, obeys its controls, and fits a phone."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("altair")
webdriver = pytest.importorskip("selenium.webdriver")
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from synthetic import cell, noisy

from pybench.report.html import make_report, render

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Debian's chromium and chromium-driver")
HOSTILE = "<img src=x onerror='document.title=1'>"
WAIT = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        cells = [
            cell("spin", lock=lock, threads=n, place=HOSTILE, cpus=tuple(range(n)))
            for lock in ("ticket", "mcs")
            for n in (1, 2, 4, 8)
        ]
        page = Path(folder) / "report.html"
        file = noisy("a.jsonl", cells)
        header = msgspec.structs.replace(file.header, host=file.header.host | {"name": HOSTILE})
        file = msgspec.structs.replace(file, header=header)
        page.write_text(render(make_report([file])), encoding="utf-8")
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for word in (
            "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
            "disable-background-networking", "disable-component-update", "host-resolver-rules=MAP * ~NOTFOUND",
            f"user-data-dir={folder}/profile",
        ):  # fmt: skip
            options.add_argument(f"--{word}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            driver.get(page.as_uri())
            WebDriverWait(driver, WAIT).until(lambda d: d.execute_script("return document.body.dataset.ready"))
            yield driver
        finally:
            driver.quit()


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
