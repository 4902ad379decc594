"""The command line: flags and configs, a run from start to result, the listing."""
