"""`python -m lstm.cli`."""

import sys

from lstm.cli import main

sys.exit(main())
