"""Raw files to batches: stores, splits, readers and the built-in data set."""
