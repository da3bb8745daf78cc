"""One history of 100,000 visits trains and predicts in little memory."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import sys
import warnings
from pathlib import Path

import numpy as np

from sklearn_ehr import LSTMVisitClassifier, VisitSequences

warnings.simplefilter("ignore")
lengths = np.array([100_000] + [5] * 40)
visits = np.arange(lengths.sum() + 1)
tokens = 2 + visits[1:] % 100
X = VisitSequences(tokens.astype(np.int32), visits, np.append(0, lengths.cumsum()))
model = LSTMVisitClassifier(max_epochs=1, random_state=0, device="cpu", early_stopping=False)
model.fit(X, np.arange(41) % 2)
assert np.isfinite(model.predict_proba(X)).all()
if sys.platform == "darwin":
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
else:
    # On Linux, what resource tells starts at the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(1024 * int(status.split("VmHWM:")[1].split()[0]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no module resource")
def test_a_hundred_thousand_visits_take_less_than_two_gigabytes():
    command = [sys.executable, "-c", SCRIPT]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(output) < 2 * 2**30
