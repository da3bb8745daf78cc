"""Where the code of the pages runs: each page in a folder of its own, without a window."""

import os

import pytest

os.environ.setdefault("MPLBACKEND", "agg")

collect_ignore = ["conf.py", "conftest.py", "check_links.py", "_ext", "_build", "auto_examples"]
collect_ignore_glob = ["reference/generated/*", "_templates/*"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
