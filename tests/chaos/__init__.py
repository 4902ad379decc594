"""Runs that are disturbed at random and end like runs that were not: `python -m tests.chaos --runs 40`."""
