"""One file per family, read like the paper: `python -m experiments.<family>`; `python -m experiments` lists them."""
