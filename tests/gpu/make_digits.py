"""Makes the network of test_calibration.py: ``make_digits.py FOLDER`` writes FOLDER/digits.onnx, trained on
scikit-learn's digits. TensorFlow on a CPU is enough.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "support"))

from digits import train


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print(train(folder))


if __name__ == "__main__":
    main()
