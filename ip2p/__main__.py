"""`python -m ip2p <command>`."""

from .cli import main

raise SystemExit(main())
