"""The fake driver answers what the real one does: tests/gpu/test_driver_behaviour.py asks that the same questions."""

import subprocess
import sys


def test_the_fake_driver_answers_as_a_real_one(fake_gpu):
    script = fake_gpu.support / "driver_behaviour.py"
    done = subprocess.run([sys.executable, str(script)], env=fake_gpu.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
