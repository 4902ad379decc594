"""RESULTS.md, written from what runs left behind: measured beside published, bars met or missed."""
