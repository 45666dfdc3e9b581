"""``python -m posemamba_runtime lift MODEL KEYPOINTS -o OUT``."""

import sys

from posemamba_runtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
