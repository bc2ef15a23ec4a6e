"""`python -m autoscale` is the command line."""

import sys

from autoscale.cli import main

sys.exit(main())
