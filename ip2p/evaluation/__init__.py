"""Editors measured: runs over a dataset and many settings, tables, plots, sheets, comparisons and probes."""
