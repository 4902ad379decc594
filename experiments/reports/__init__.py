"""What each family draws and tells of a finished run."""
