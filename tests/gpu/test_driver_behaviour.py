"""The real driver answers as the fake one of tests/cpp does, which the tests without a GPU rely on."""

import subprocess
import sys
from pathlib import Path


def test_the_driver_answers_as_the_fake_one():
    script = Path(__file__).parent.parent / "support" / "driver_behaviour.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
