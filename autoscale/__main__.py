"""`python -m autoscale` is the command line."""

import sys

from autoscale.cli.app import main

sys.exit(main())
