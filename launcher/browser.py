"""Finds a Chromium for the browser tests, and installs one where that can be done without asking."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


def find_browser() -> str | None:
    """The path of a Chromium of the system, else of one that playwright has fetched."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def ensure_browser() -> str | None:
    """As `find_browser`, after trying Debian's package (as root) and playwright's own download. None when neither can be had."""
    attempts = []
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        attempts += [["apt-get", "update", "-qq"], install]
    attempts.append([sys.executable, "-m", "playwright", "install", "chromium"])
    for command in attempts:
        if found := find_browser():
            return found
        print("  trying: " + " ".join(command), flush=True)
        try:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            print("  no answer within 300 s", flush=True)
    return find_browser()
